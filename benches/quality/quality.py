#!/usr/bin/env python3
"""Measures what a scanner finds of planted credentials and what it reports of files that hold none.

  quality.py plant DIR            plants every kind in every kind of file, and decoys; writes DIR/truth.json
  quality.py image OUT TREE...    an OCI layout of these folders, one layer each; TREE may be FOLDER:PATH/IN/IMAGE
  quality.py score TRUTH FORMAT=REPORT...   recall for each kind of file and each kind of credential, and the decoys
  quality.py noise FORMAT=REPORT --bytes N  what is reported per GB of files that hold nothing

FORMAT is layersift, kingfisher, detect-secrets, trufflehog or gitleaks. See README.md beside this file.
"""

import argparse
import hashlib
import json
import os
import sys
import tarfile
from collections import defaultdict

import carriers
import plants

GB = 1_000_000_000


def plant(folder, seed, extra, every):
    maker = plants.Maker(seed)
    truth = {"seed": seed, "plants": [], "decoys": []}
    tree = os.path.join(folder, "tree")
    number = 0

    def write(path, body, entry, group):
        nonlocal number
        number += 1
        if group == "plants" and number % every:
            return
        path = f"p{number:05d}/{path}"
        full = os.path.join(tree, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(body if isinstance(body, bytes) else body.encode())
        truth[group].append({"path": path, **entry})

    for name, family, make in plants.KINDS:
        for carrier, (path, carry) in carriers.CARRIERS.items():
            body = carry(make(maker))
            if body is not None:
                write(path, body, {"kind": name, "family": family, "carrier": carrier}, "plants")
    for kind, carrier, path, body in carriers.own_files(maker, plants.KINDS):
        write(path, body, {"kind": kind, "family": "file", "carrier": carrier}, "plants")
    for line in extra:
        # What the rules' own examples say: {"rule": …, "path": …, "text": …}.
        example = json.loads(line)
        entry = {"kind": example["rule"], "family": "rule", "carrier": "example of the rule"}
        write(example.get("path") or "srv/app/config", example["text"], entry, "plants")
    for name, path, body in plants.decoys(maker):
        write(path, body, {"kind": name}, "decoys")
    with open(os.path.join(folder, "truth.json"), "w") as file:
        json.dump(truth, file, indent=1)
    kinds = {entry["kind"] for entry in truth["plants"]}
    files = {entry["carrier"] for entry in truth["plants"]}
    print(f"{len(truth['plants'])} plants of {len(kinds)} kinds in {len(files)} kinds of file, {len(truth['decoys'])} decoys")


class Hashing:
    """A file that knows the digest of what was written to it."""

    def __init__(self, file):
        self.file, self.sha, self.size = file, hashlib.sha256(), 0

    def write(self, data):
        self.sha.update(data)
        self.size += len(data)
        return self.file.write(data)

    def tell(self):
        return self.size

    def flush(self):
        self.file.flush()


def image(out, trees):
    blobs = os.path.join(out, "blobs", "sha256")
    os.makedirs(blobs, exist_ok=True)

    def blob(body):
        digest = hashlib.sha256(body).hexdigest()
        with open(os.path.join(blobs, digest), "wb") as file:
            file.write(body)
        return "sha256:" + digest, len(body)

    layers, total = [], 0
    for tree in trees:
        folder, _, inside = tree.partition(":")
        partial = os.path.join(blobs, "partial")
        with open(partial, "wb") as file:
            hashing = Hashing(file)
            with tarfile.open(fileobj=hashing, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                # Devices and sockets of a root file system hold nothing.
                keep = lambda info: info if info.isfile() or info.isdir() or info.issym() or info.islnk() else None
                for name in sorted(os.listdir(folder)):
                    archive.add(os.path.join(folder, name), os.path.join(inside, name), filter=keep)
        digest = hashing.sha.hexdigest()
        os.rename(partial, os.path.join(blobs, digest))
        layers.append(("sha256:" + digest, hashing.size, folder))
        total += hashing.size
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest for digest, _, _ in layers]},
        "history": [{"created_by": f"COPY {os.path.basename(folder)} /"} for _, _, folder in layers],
    }
    config_digest, config_size = blob(json.dumps(config).encode())
    kind = "application/vnd.oci.image."
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind + "manifest.v1+json",
        "config": {"mediaType": kind + "config.v1+json", "digest": config_digest, "size": config_size},
        "layers": [{"mediaType": kind + "layer.v1.tar", "digest": digest, "size": size} for digest, size, _ in layers],
    }
    digest, size = blob(json.dumps(manifest).encode())
    entry = {"mediaType": manifest["mediaType"], "digest": digest, "size": size, "annotations": {"org.opencontainers.image.ref.name": "quality"}}
    with open(os.path.join(out, "index.json"), "w") as file:
        json.dump({"schemaVersion": 2, "manifests": [entry]}, file)
    with open(os.path.join(out, "oci-layout"), "w") as file:
        json.dump({"imageLayoutVersion": "1.0.0"}, file)
    print(f"{len(layers)} layers, {total} bytes")


def layersift(report):
    for finding in report["findings"]:
        for occurrence in finding["occurrences"]:
            # A finding has the confidence of its best place.
            if occurrence.get("confidence", finding["confidence"]) == "low":
                continue
            origin = occurrence["origin"]
            path = origin.get("path") or {}
            yield finding["rule"]["id"] if isinstance(finding["rule"], dict) else finding["rule"], text(path), occurrence


def text(path):
    if isinstance(path, dict):
        return path.get("text") or path.get("bytes") or ""
    return path or ""


def kingfisher(report):
    for entry in report["findings"] if isinstance(report, dict) else report:
        finding = entry.get("finding", entry)
        yield entry.get("rule", {}).get("id") or finding.get("rule_id"), finding["path"], finding


def detect_secrets(report):
    for path, entries in report["results"].items():
        for entry in entries:
            yield entry["type"], path, entry


def trufflehog(report):
    for entry in report:
        metadata = entry["SourceMetadata"]["Data"]
        path = next((source.get("file", "") for source in metadata.values()), "")
        yield entry["DetectorName"], path, entry


def gitleaks(report):
    for entry in report:
        yield entry["RuleID"], entry["File"], entry


READERS = {
    "layersift": layersift,
    "kingfisher": kingfisher,
    "detect-secrets": detect_secrets,
    "trufflehog": trufflehog,
    "gitleaks": gitleaks,
}


def read(argument):
    """The rule, path and details of each finding in FORMAT=FILE."""
    name, _, path = argument.partition("=")
    with open(path) as file:
        body = file.read()
    try:
        report = json.loads(body)
    except json.JSONDecodeError:
        report = [json.loads(line) for line in body.splitlines() if line.startswith("{")]
    return name, list(READERS[name](report))


def score(truth_path, arguments, least, show):
    with open(truth_path) as file:
        truth = json.load(file)
    names, found = [], {}
    for argument in arguments:
        name, findings = read(argument)
        names.append(name)
        # Every plant has a folder of its own.
        found[name] = {folder(path) for _, path, _ in findings}
        found[name].discard(None)

    def table(title, key):
        rows = defaultdict(list)
        for entry in truth["plants"]:
            rows[entry[key]].append(entry)
        print(f"\n{title:<32} {'planted':>8} " + " ".join(f"{name:>15}" for name in names))
        behind = []
        for row, entries in rows.items():
            counts = [sum(folder(entry["path"]) in found[name] for entry in entries) for name in names]
            print(f"{row:<32} {len(entries):>8} " + " ".join(f"{100 * count / len(entries):>14.1f}%" for count in counts))
            if counts and max(counts) > counts[0]:
                behind.append(row)
        return behind

    behind = table("kind of file", "carrier")
    table("kind of credential", "kind")
    table("family", "family")
    plants_total = len(truth["plants"])
    print()
    recalls = []
    for name in names:
        count = sum(folder(entry["path"]) in found[name] for entry in truth["plants"])
        decoys = [entry for entry in truth["decoys"] if folder(entry["path"]) in found[name]]
        recalls.append(100 * count / plants_total)
        print(f"{name}: recall {recalls[-1]:.2f} % of {plants_total}; {len(decoys)} of {len(truth['decoys'])} decoys reported")
    missed = [entry for entry in truth["plants"] if folder(entry["path"]) not in found[names[0]]]
    for entry in missed[:show]:
        others = ",".join(name for name in names[1:] if folder(entry["path"]) in found[name])
        print(f"missed: {entry['kind']} in {entry['carrier']} {entry['path']} {others and 'found by ' + others}")
    wrong = [entry for entry in truth["decoys"] if folder(entry["path"]) in found[names[0]]]
    for entry in wrong:
        print(f"decoy reported: {entry['kind']} {entry['path']}")
    if behind:
        print(f"behind another in: {', '.join(behind)}")
    return 1 if wrong or behind or recalls[0] < least else 0


def folder(path):
    """The folder of a plant in a path, which may begin with where the tree was put."""
    for part in path.split("/"):
        if len(part) == 6 and part[0] == "p" and part[1:].isdigit():
            return part
    return None


def noise(arguments, size, most):
    worst = 0
    for argument in arguments:
        name, findings = read(argument)
        if name == "layersift":
            findings = list({(rule, path): (rule, path, details) for rule, path, details in findings}.values())
        rules = defaultdict(list)
        for rule, path, _ in findings:
            rules[rule].append(path)
        print(f"{name}: {len(findings)} findings, {len(findings) * GB / size:.2f} per GB")
        for rule, paths in sorted(rules.items(), key=lambda row: -len(row[1]))[:40]:
            print(f"  {len(paths):>6} {rule:<40} {paths[0]}")
        if argument == arguments[0]:
            worst = len(findings) * GB / size
    return 1 if worst > most else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("plant")
    command.add_argument("folder")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--every", type=int, default=1, help="plant only every so many of them")
    command.add_argument("--examples", type=argparse.FileType(), help="examples of rules, a JSON object on each line")
    command = commands.add_parser("image")
    command.add_argument("out")
    command.add_argument("trees", nargs="+")
    command = commands.add_parser("score")
    command.add_argument("truth")
    command.add_argument("reports", nargs="+")
    command.add_argument("--least", type=float, default=98.0, help="the least recall of the first report, in percent")
    command.add_argument("--show", type=int, default=100, help="how many misses are listed")
    command = commands.add_parser("noise")
    command.add_argument("reports", nargs="+")
    command.add_argument("--bytes", type=int, required=True)
    command.add_argument("--most", type=float, default=1.0, help="the most findings of the first report per GB")
    options = parser.parse_args()
    if options.command == "plant":
        plant(options.folder, options.seed, options.examples or [], options.every)
        return 0
    if options.command == "image":
        image(options.out, options.trees)
        return 0
    if options.command == "score":
        return score(options.truth, options.reports, options.least, options.show)
    return noise(options.reports, options.bytes, options.most)


if __name__ == "__main__":
    sys.exit(main())
