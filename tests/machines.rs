//! Sweeps whose layers are read by many machines: each ends with the state that a sweep on one machine makes.

mod queue;
mod shards;

use rusqlite::Connection;

use crate::sweep::Place;

/// What a state holds, without numbers that go by the order of arrival: two states are the same where these are.
fn dump(place: &Place) -> Vec<String> {
    let connection = Connection::open(place.state()).unwrap();
    let mut lines = Vec::new();
    for query in [
        "SELECT 'scan', b.digest, s.state, s.bytes_in, s.bytes_out, s.entries, s.reason, s.why FROM scan s \
         JOIN blob b ON b.id = s.blob_id ORDER BY b.digest",
        "SELECT 'record', b.digest, hex(r.record) FROM record r JOIN blob b ON b.id = r.blob_id ORDER BY b.digest",
        "SELECT 'image', m.digest, hex(i.record), i.complete, i.assembled, i.whole FROM image i \
         JOIN manifest m ON m.id = i.manifest_id ORDER BY m.digest",
        "SELECT 'finding', m.digest, s.identity, f.rule, f.status, f.layer, f.place, f.line, f.offset FROM finding f \
         JOIN manifest m ON m.id = f.manifest_id JOIN secret s ON s.id = f.secret_id ORDER BY 2, 3, 4, 5, 6, 7, 8, 9",
        "SELECT 'tag', p.name, t.tag, t.digest, t.to_sweep FROM tag_history t \
         JOIN repository p ON p.id = t.repository_id ORDER BY 2, 3, 4",
        "SELECT 'problem', what, reason, why FROM problem ORDER BY what",
        "SELECT 'sweep', scope, options, status FROM sweep ORDER BY id",
    ] {
        let mut statement = connection.prepare(query).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values = (0..columns).map(|column| format!("{:?}", row.get_ref(column).unwrap()));
            lines.push(values.collect::<Vec<_>>().join(" "));
        }
    }
    assert!(lines.len() > 3, "there is something to compare");
    lines
}

/// Two places hold the same, and say so in the same words.
#[track_caller]
fn assert_same(place: &Place, expected: &Place) {
    assert_eq!(place.report(), expected.report());
    let coverage = |place: &Place| place.query(&["coverage"]);
    assert_eq!(coverage(place), coverage(expected));
    let (have, want) = (dump(place), dump(expected));
    for (have, want) in have.iter().zip(&want) {
        assert_eq!(have, want);
    }
    assert_eq!(have.len(), want.len());
}
