//! The arguments of every command, as clap reads them. They go no further than `cli`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::limits::Setting;
use crate::oci::Platform;
use crate::policy::{ImageGlob, PathGlob, StatusName};
use crate::rules::{Confidence, Severity};
use crate::source::Provider;
use crate::sweep::Kind;

/// Finds secrets in every layer of a container image, including what later layers deleted.
#[derive(Debug, Parser)]
#[command(
    name = "layersift",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Scan, and write a file that names what is found, so that `gate` and `scan` can tell what is new.
    Baseline(Box<BaselineArgs>),
    /// Print one file of one layer, as evidence.
    Cat(CatArgs),
    /// Print a script that completes commands and options in a shell.
    Completions(CompletionsArgs),
    /// Print what layersift finds on this machine: logins, engines, proxies, certificates, limits.
    Doctor,
    /// Scan as a policy asks for, in `layersift.toml`: own or inherited, new or known, expected digests.
    Gate(Box<GateArgs>),
    /// Print the tags of a repository, or the repositories of a registry.
    List(ListArgs),
    /// Try the login for a registry, without showing it.
    Login(LoginArgs),
    /// Print the manual page, or write those of all commands into a folder.
    Man(ManArgs),
    /// Enter what `scan-layer` read elsewhere into the state that `plan` made.
    Merge(Box<MergeArgs>),
    /// Begin a sweep whose layers many machines read: write which layers there are, in shards.
    Plan(Box<PlanArgs>),
    /// Ask what sweeps found: where a secret is, which tags moved, what was not read.
    Query(QueryArgs),
    /// List, show, check and try rules.
    Rules(RulesArgs),
    /// Scan images: every layer, every platform, and all metadata.
    #[command(after_help = SCAN_HELP)]
    Scan(Box<ScanArgs>),
    /// Read the layers of a shard of a plan, or one layer, and write sealed records into a folder.
    ScanLayer(Box<ScanLayerArgs>),
    /// Show one finding of a JSON report.
    Show(ShowArgs),
    /// Scan whole registries, each layer once, and keep what was found: stopped at any time, it goes on from there.
    Sweep(Box<SweepArgs>),
    /// Upload a SARIF report to GitHub code scanning, and wait until it is read.
    Upload(UploadArgs),
    /// Read layers for the sweeps of a queue.
    Worker(Box<WorkerArgs>),
}

/// What all commands have.
#[derive(Debug, clap::Args)]
pub(super) struct OutputArgs {
    /// Say nothing on standard error but errors; draw no progress.
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    /// Say more on standard error, for developers; up to three times.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Whether to use colour. `auto` does on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: ColorChoice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    Always,
    Auto,
    Never,
}

/// Where SARIF puts results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SarifLocation {
    Dockerfile,
    File,
    Image,
}

impl std::str::FromStr for SarifLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        <Self as ValueEnum>::from_str(text, false)
            .map_err(|_| "expected dockerfile, file or image".to_owned())
    }
}

const SCAN_HELP: &str = "\
Targets:
  alpine:3.20, ghcr.io/acme/app@sha256:…  an image of the engine here (Docker, Podman), or else
                                          of its registry; docker://REF, docker-daemon:REF and
                                          podman:REF say which outright, and so does --from
  ./image.tar                             an archive of `docker save`, `podman save` or in OCI form
                                          (or docker-archive:FILE[:NAME], oci-archive:FILE[:NAME])
  ./layout                                an OCI layout directory (or oci:DIR[:NAME|@DIGEST])
  -                                       an archive on standard input:
                                          docker save app | layersift scan -

Exit codes:
  0  everything was scanned, and nothing is at or above the thresholds
  1  findings
  2  usage or configuration, or a report could not be written or uploaded
  3  no target was found or could be read
  4  something was not scanned or not verified; no findings so far
  5  something was not scanned or not verified, and there are findings
  130, 143  interrupted; the report is marked partial";

#[derive(Debug, clap::Args)]
pub(super) struct ScanArgs {
    /// What to scan; several are scanned in one run, each blob once.
    #[arg(required = true, value_name = "TARGET")]
    pub(super) targets: Vec<String>,

    /// Write a report: gitlab, html, human, json, jsonl, junit, markdown or sarif, to standard output or a file; `sarif=DIR/`
    /// writes one per image. May be given several times. Without it: human to standard output.
    #[arg(long, short, value_name = "FORMAT[=FILE]", help_heading = "Report")]
    pub(super) format: Vec<String>,
    /// Upload a SARIF report of each image to GitHub code scanning, as `layersift upload` does.
    #[arg(long, help_heading = "Report")]
    pub(super) upload: bool,
    /// Show secrets as they are. Files are then readable by their owner only.
    #[arg(long, help_heading = "Report")]
    pub(super) show_secrets: bool,
    /// Bind fingerprints to this name instead of the image's own `registry/repository`.
    #[arg(long, value_name = "NAME", help_heading = "Report")]
    pub(super) repository: Option<String>,
    /// Name findings by an HMAC with the key in this file. Reports can be compared if their keys are the same.
    /// LAYERSIFT_FINGERPRINT_KEY holds the key itself.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(super) fingerprint_key_file: Option<PathBuf>,

    /// Say which lines of this Dockerfile brought a secret and which only hide it. Without it: the Dockerfile of the git work
    /// tree, if there is just one and the image was built from it.
    #[arg(long, value_name = "FILE", help_heading = "Dockerfile")]
    pub(super) dockerfile: Option<PathBuf>,
    /// Take the lines from this provenance of BuildKit (`mode=max`), or from a file of `docker buildx build --metadata-file`.
    /// May be given several times. Without it: from what is attached to the image, or else from its history.
    #[arg(long, value_name = "FILE", help_heading = "Dockerfile")]
    pub(super) provenance: Vec<PathBuf>,
    /// Where SARIF puts results: at the instruction of the Dockerfile, at the tracked file of the same content (or else the
    /// instruction), or at the path in the image [default: dockerfile with --dockerfile, or else image]. Keep it the same for
    /// a category.
    #[arg(long, value_name = "WHERE", help_heading = "Dockerfile")]
    pub(super) sarif_location: Option<SarifLocation>,
    /// Put what a baseline or a policy leaves out into SARIF too, marked as suppressed. Not for GitHub, which takes it for
    /// alerts; what is uploaded never has it.
    #[arg(long, help_heading = "Dockerfile")]
    pub(super) sarif_suppressed: bool,
    /// Upload SARIF under this category instead of `layersift/REPOSITORY/PLATFORM`. Of several images each adds its platform.
    #[arg(long, value_name = "NAME", help_heading = "Dockerfile")]
    pub(super) category: Option<String>,

    /// Where images without a prefix are: engine, registry. Without it: an engine on this machine that has the image, or else
    /// its registry.
    #[arg(long, value_name = "WHERE", help_heading = "What is scanned")]
    pub(super) from: Option<Provider>,
    /// Scan only this platform, `os/arch[/variant]`. May be given several times. Without it: all of them.
    #[arg(long, value_name = "PLATFORM", help_heading = "What is scanned")]
    pub(super) platform: Vec<Platform>,
    /// Scan what is attached to an image in its registry too: signatures, SBOMs, any artifact that refers to it.
    #[arg(long, help_heading = "What is scanned")]
    pub(super) referrers: bool,
    /// Rules of your own (TOML, also in the format of Gitleaks), added to the built-in ones; one of the same id replaces it.
    /// May be given several times.
    #[arg(long, value_name = "FILE", help_heading = "What is scanned")]
    pub(super) rules: Vec<PathBuf>,
    /// Run rules of your own too that no text leads to: each runs over every byte.
    #[arg(long, help_heading = "What is scanned")]
    pub(super) slow_rules: bool,

    /// Report findings of this confidence and above: low, medium, high [default: medium].
    #[arg(long, value_name = "LEVEL", help_heading = "What counts")]
    pub(super) min_confidence: Option<Confidence>,
    /// Report findings of this severity and above: low, medium, high, critical [default: medium].
    #[arg(long, value_name = "LEVEL", help_heading = "What counts")]
    pub(super) severity: Option<Severity>,
    /// Report only what has this status: present, overwritten, deleted, metadata, history, unlisted, unknown. May be given several
    /// times. Without it: all, since all of them ship.
    #[arg(long, value_name = "STATUS", help_heading = "What counts")]
    pub(super) status: Vec<StatusName>,
    /// Report only paths that match this glob. May be given several times.
    #[arg(long, value_name = "GLOB", help_heading = "What counts")]
    pub(super) include: Vec<PathGlob>,
    /// Do not report paths that match this glob. May be given several times.
    #[arg(long, value_name = "GLOB", help_heading = "What counts")]
    pub(super) exclude: Vec<PathGlob>,
    /// Report only this rule. May be given several times.
    #[arg(long, value_name = "ID", help_heading = "What counts")]
    pub(super) rule: Vec<String>,
    /// Do not report this rule. May be given several times.
    #[arg(long, value_name = "ID", help_heading = "What counts")]
    pub(super) no_rule: Vec<String>,
    /// Count content that could not be opened as not scanned.
    #[arg(long, help_heading = "What counts")]
    pub(super) strict: bool,
    /// Leave out what this file of `layersift baseline` names.
    #[arg(long, value_name = "FILE", help_heading = "What counts")]
    pub(super) baseline: Option<PathBuf>,

    #[command(flatten)]
    pub(super) registry: RegistryArgs,

    #[command(flatten)]
    pub(super) github: GithubArgs,

    /// Take options from this TOML file; those of the command line win.
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub(super) config: Option<PathBuf>,
    /// End the scan after this time (`90s`, `10m`, `1h`); what was found is reported as partial.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Run")]
    pub(super) timeout: Option<Duration>,
    /// Set a cap on what is read: `layer-bytes=2GiB`, `idle-timeout=10`; a wrong name lists them all, and `layersift doctor` says
    /// what they are without it. May be given several times.
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Run")]
    pub(super) limit: Vec<Setting>,
    /// Keep this many cores at work [default: all of them], and read at most so many layers at a time.
    #[arg(long, short, value_name = "N", value_parser = jobs, help_heading = "Run")]
    pub(super) jobs: Option<usize>,
    /// Keep what is found in layers in this folder, without the secrets, and read only layers that are not there yet.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "show_secrets",
        help_heading = "Run"
    )]
    pub(super) cache: Option<PathBuf>,
    /// Empty the folder of `--cache` first.
    #[arg(long, requires = "cache", help_heading = "Run")]
    pub(super) clear_cache: bool,
}

const GATE_HELP: &str = "\
The policy is `layersift.toml` in the current folder or else at the root of its git checkout;
without one the defaults hold. Nothing in an image is ever a policy. All keys:
  [gate]
  severity = \"high\"             # the least that counts
  confidence = \"high\"
  life = [\"present\"]            # the statuses that count; without it all
  inherited = \"warn\"            # findings that stand in a proven base image alone; else \"fail\"
  unchanged = \"warn\"            # findings that the image of --since had; else \"fail\"
  opaque = \"fail\"               # content that could not be opened; else \"warn\"
  squashed = true               # as --squashed
  baseline = \"known.json\"       # as --baseline, beside the policy
  [base]
  images = [\"REF\"]              # as --base
  trusted = [\"docker.io/library/*\"]  # bases that an image may name itself
  [[ignore]]                    # covers what fits all of fingerprint, rule, path, image
  rule = \"npm-token\"
  path = \"test/**\"
  reason = \"revoked, kept as test data\"
  owner = \"team-web\"
  expires = 2027-01-31          # the last day; after it the gate fails

Exit codes:
  0  everything was scanned, and nothing counts
  1  something counts, or the policy says no: an entry expired, another digest, not squashed
  2  usage, policy or configuration, or a report could not be written; a wrong policy scans nothing
  3  no target was found or could be read
  4  something was not scanned, not verified, or asked for and not read; no findings so far
  5  something was not scanned, not verified, or asked for and not read, and there are findings
  130, 143  interrupted; the report is marked partial";

#[derive(Debug, clap::Args)]
#[command(after_help = GATE_HELP)]
pub(super) struct GateArgs {
    /// Take the policy from this file.
    #[arg(long, value_name = "FILE", help_heading = "Gate")]
    pub(super) policy: Option<PathBuf>,
    /// The image that the target is built FROM: findings that are proved to stand in it alone are listed apart. May be given
    /// several times.
    #[arg(long, value_name = "REF", help_heading = "Gate")]
    pub(super) base: Vec<String>,
    /// The image before this one: says what is new, fixed and unchanged. A blob that both have is read once.
    #[arg(long, value_name = "REF", help_heading = "Gate")]
    pub(super) since: Option<String>,
    /// Fail if the target is something else: a digest of index, manifest or configuration, or a file that says it (lines of
    /// `reference digest`, a log of `docker push` or BuildKit, a metadata file, an iidfile). May be given several times.
    #[arg(long, value_name = "DIGEST|FILE", help_heading = "Gate")]
    pub(super) expect_digest: Vec<String>,
    /// Fail unless earlier content is out of reach: every file of the layers above the proven base is one that a container shows,
    /// as in an image that is squashed or built in stages.
    #[arg(long, help_heading = "Gate")]
    pub(super) squashed: bool,
    /// List the other tags of the repository that match this glob and carry a blob that leaks. Reads manifests only. May be
    /// given several times.
    #[arg(long, value_name = "GLOB", help_heading = "Gate")]
    pub(super) also_tags: Vec<ImageGlob>,
    #[command(flatten)]
    pub(super) scan: ScanArgs,
}

const BASELINE_HELP: &str = "\
The file names findings by fingerprint, with rule, repository and place; no secret is in it. Commit it, and shorten it:
  layersift baseline ghcr.io/acme/app:1.4 --output known.json
  layersift gate ghcr.io/acme/app:1.5 --baseline known.json

Exit codes:
  0  everything was scanned, and the file is written
  2  usage or configuration, or the file could not be written
  3  no target was found or could be read; nothing is written
  4  something was not scanned or not verified; the file names what was found
  130, 143  interrupted; nothing is written";

#[derive(Debug, clap::Args)]
#[command(after_help = BASELINE_HELP)]
pub(super) struct BaselineArgs {
    /// Write it here instead of to standard output.
    #[arg(long, short, value_name = "FILE", help_heading = "Baseline")]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) scan: ScanArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct CatArgs {
    /// The image, as for `scan`.
    pub(super) target: String,
    /// The layer, from 1 at the base, as reports count.
    #[arg(long, value_name = "N")]
    pub(super) layer: usize,
    /// The file in the layer. If the layer has several of this path, all are printed in their order.
    pub(super) path: String,
    /// The platform of an index, `os/arch[/variant]`, where it has several.
    #[arg(long, value_name = "PLATFORM")]
    pub(super) platform: Option<Platform>,
    /// Where an image without a prefix is: engine, registry.
    #[arg(long, value_name = "WHERE")]
    pub(super) from: Option<Provider>,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell that is to read it.
    pub(super) shell: clap_complete::Shell,
}

const LIST_HELP: &str = "\
The names are as `layersift scan` takes them:
  layersift list registry.example.com/app | xargs layersift scan

Exit codes:
  0  everything was listed
  2  usage
  3  nothing could be listed
  4  the list broke off; what is printed is its beginning";

#[derive(Debug, clap::Args)]
#[command(after_help = LIST_HELP)]
pub(super) struct ListArgs {
    /// A repository, such as `ghcr.io/acme/app`, or a registry, `host[:port]`, that lists its repositories: Docker Hub and
    /// most registries of many owners do not.
    pub(super) name: String,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

const LOGIN_HELP: &str = "\
Answers:
  ok              the registry takes the login
  anonymous only  the registry lets anyone in, and no login was used
  refused         the login is not taken, or there is none and the registry asks for one
  unreachable     the registry does not answer
  failed          what answers does not behave like a registry

Logins, in the order of looking:
  1. --username with --password-stdin
  2. LAYERSIFT_TOKEN_HOST: a password or an access token
     LAYERSIFT_USERNAME_HOST: its user, where the registry needs one
     HOST in upper case, `_` for each `.` and `:`, `__` for each `-`:
     LAYERSIFT_TOKEN_REGISTRY_EXAMPLE_COM_5000 is for registry.example.com:5000
  3. the file REGISTRY_AUTH_FILE, and then no other
  4. config.json in DOCKER_CONFIG or ~/.docker: credHelpers, credsStore, auths
  5. containers/auth.json in XDG_RUNTIME_DIR, then in XDG_CONFIG_HOME or ~/.config

Exit codes:
  0  ok, or anonymous only
  2  usage
  3  refused, unreachable, failed";

#[derive(Debug, clap::Args)]
#[command(after_help = LOGIN_HELP)]
pub(super) struct LoginArgs {
    /// Say which login is used and what the registry answers. Nothing is stored; `docker login` and `podman login` do that.
    #[arg(long, required = true)]
    pub(super) check: bool,
    /// The registry, `host[:port]`; `docker.io` is Docker Hub.
    pub(super) host: String,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Write a page for each command into this folder, which is made where it is missing.
    #[arg(value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct RulesArgs {
    #[command(subcommand)]
    pub(super) command: RulesCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum RulesCommand {
    /// Print one line for each rule: id, severity, confidence, title.
    List {
        /// Rules of your own (TOML), added to the built-in ones. May be given several times.
        #[arg(long, value_name = "FILE")]
        rules: Vec<PathBuf>,
    },
    /// Print all that a rule says.
    Show {
        /// The id of the rule.
        id: String,
        /// Rules of your own (TOML), added to the built-in ones. May be given several times.
        #[arg(long, value_name = "FILE")]
        rules: Vec<PathBuf>,
    },
    /// Check files of rules and try each rule on its own examples; without a file, the built-in ones.
    #[command(after_help = "Exit codes:\n  0  all is as it should be\n  2  something is wrong")]
    Check {
        /// Files of rules (TOML).
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print what rules find in files, as they would in a layer that has them.
    #[command(
        after_help = "Exit codes:\n  0  nothing was found\n  1  something was found\n  2  usage or configuration"
    )]
    Test(RulesTestArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct RulesTestArgs {
    /// Files to search.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Rules of your own (TOML), added to the built-in ones. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Vec<PathBuf>,
    /// Run rules too that no text leads to: each runs over every byte.
    #[arg(long)]
    pub(super) slow_rules: bool,
    /// Without the built-in rules.
    #[arg(long, requires = "rules")]
    pub(super) only: bool,
    /// Only this rule. May be given several times.
    #[arg(long, value_name = "ID")]
    pub(super) rule: Vec<String>,
    /// Show secrets as they are.
    #[arg(long)]
    pub(super) show_secrets: bool,
}

/// How registries are spoken to: what every command has that may speak to one.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Registry")]
pub(super) struct RegistryArgs {
    /// Speak to this registry, `host[:port]`, without TLS where it has none. May be given several times.
    #[arg(long, value_name = "HOST")]
    pub(super) insecure: Vec<String>,
    /// Trust the certificates in this PEM file besides the system's. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(super) ca_cert: Vec<PathBuf>,
    /// Log in with this name; the password is read with --password-stdin.
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    pub(super) username: Option<String>,
    /// Read the password of --username from standard input.
    #[arg(long, requires = "username")]
    pub(super) password_stdin: bool,
    /// Read logins from the `config.json` in this folder, and from nowhere else that Docker and Podman keep them.
    #[arg(long, value_name = "DIR")]
    pub(super) docker_config: Option<PathBuf>,
    /// Allow a registry to send its logins to this token server on another site. May be given several times.
    #[arg(long, value_name = "HOST")]
    pub(super) trusted_realm: Vec<String>,
    /// Ask this mirror of a registry first, `HOST=URL`; it is not sent the registry's login. May be given several times.
    #[arg(long, value_name = "HOST=URL")]
    pub(super) mirror: Vec<Mirror>,
    /// Show this certificate (PEM) to the registry, where it asks for one.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(super) client_cert: Option<PathBuf>,
    /// The private key (PEM) of --client-cert.
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(super) client_key: Option<PathBuf>,
    /// Take certificates from `DIR/HOST[:PORT]/{*.crt,*.cert,*.key}` [default: /etc/docker/certs.d and
    /// /etc/containers/certs.d].
    #[arg(long, value_name = "DIR")]
    pub(super) certs_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The fingerprint, or enough of its beginning to tell it from the others.
    pub(super) fingerprint: String,
    /// A report of `--format json` or `jsonl`.
    #[arg(long = "in", value_name = "REPORT")]
    pub(super) report: PathBuf,
}

const SWEEP_HELP: &str = "\
Targets:
  registry.example.com                 every repository that the registry lists for the login
  registry.example.com/team/           those below a name
  registry.example.com/team/app        one repository, every tag
  registry.example.com/team/app:1.4    one image
  ./images.txt                         a file with one of these on each line; # begins a comment

The state holds what was found, without any secret: keyed hashes, paths, and what a redacted
report shows. Its key is the file STATE.key beside it, made by the first sweep, unless
--fingerprint-key-file or LAYERSIFT_FINGERPRINT_KEY gives one. Whoever has state and key can
try whether a guessed password is in it: keep both from others.

A sweep that was ended in any way goes on with the same command.

After rules changed, a layer is read again where a literal of a changed rule stands in it, and every
layer where a new rule has a literal that was not looked for before. --dry-run says how many bytes.
Another build of layersift reads everything again.

With --queue, lists and manifests are read here, and layers by every `layersift worker` that has the
key. The login for the queue is in LAYERSIFT_QUEUE_USER and LAYERSIFT_QUEUE_PASSWORD, in
LAYERSIFT_QUEUE_TOKEN, or in the file of --queue-creds.

Exit codes:
  0  everything was read, and nothing that can be pulled has a secret
  1  findings
  2  usage or configuration, or a state that cannot be used
  3  nothing could be read, or the queue cannot be used
  4  something was not read; no findings so far
  5  something was not read, and there are findings
  130, 143  interrupted";

#[derive(Debug, clap::Args)]
#[command(after_help = SWEEP_HELP, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct SweepArgs {
    #[command(subcommand)]
    pub(super) command: Option<SweepCommand>,
    /// Read lists and manifests, say how much there is to read, and write nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) run: SweepRunArgs,

    /// Have layers read by the workers of this NATS server, `nats://HOST[:PORT]` or `tls://HOST[:PORT]`.
    #[arg(long, value_name = "URL", help_heading = "Queue", conflicts_with = "dry_run")]
    pub(super) queue: Option<String>,
    /// Give a layer to another worker when nothing was heard of its own for this time.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s", help_heading = "Queue")]
    pub(super) lease: Duration,
    /// Give a layer up over which so many workers died.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Queue")]
    pub(super) max_deaths: u32,
    /// Have so many servers of a cluster keep each message.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Queue")]
    pub(super) queue_replicas: usize,
    #[command(flatten)]
    pub(super) queue_login: QueueArgs,
}

/// How a queue is reached.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Queue")]
pub(super) struct QueueArgs {
    /// Log in with this credentials file of NATS (`.creds`).
    #[arg(long, value_name = "FILE")]
    pub(super) queue_creds: Option<PathBuf>,
    /// Trust the certificates in this PEM file besides the system's. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(super) queue_ca: Vec<PathBuf>,
    /// Show this certificate (PEM) to the server.
    #[arg(long, value_name = "FILE", requires = "queue_key")]
    pub(super) queue_cert: Option<PathBuf>,
    /// The private key (PEM) of --queue-cert.
    #[arg(long, value_name = "FILE", requires = "queue_cert")]
    pub(super) queue_key: Option<PathBuf>,
    /// Speak to a server on another machine without TLS.
    #[arg(long)]
    pub(super) queue_insecure: bool,
}

const WORKER_HELP: &str = "\
A worker needs the key of the sweep, the same rules and limits, and a login for the registries of its
own: none of these is on the queue. Of sweeps with another key or other rules it sees nothing.

Environment:
  LAYERSIFT_FINGERPRINT_KEY                       the key, where --fingerprint-key-file is not given
  LAYERSIFT_QUEUE_USER, LAYERSIFT_QUEUE_PASSWORD  the login for the queue
  LAYERSIFT_QUEUE_TOKEN                           the same, where it is a token

Exit codes:
  0  it was told to stop, or there was nothing to read for --idle
  2  usage or configuration
  3  the queue could not be reached, or does not let it in";

#[derive(Debug, clap::Args)]
#[command(after_help = WORKER_HELP)]
pub(super) struct WorkerArgs {
    /// End when there was nothing to read for this time.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) idle: Option<Duration>,
    #[command(flatten)]
    pub(super) read: ReadArgs,
    /// The NATS server, `nats://HOST[:PORT]` or `tls://HOST[:PORT]`.
    #[arg(long, value_name = "URL", help_heading = "Queue")]
    pub(super) queue: String,
    #[command(flatten)]
    pub(super) queue_login: QueueArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum SweepCommand {
    /// Write what a state holds: what can be pulled now, and what is in it.
    Report(SweepReportArgs),
    /// Print how far the last sweep is.
    Status(SweepStatusArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct SweepRunArgs {
    /// What to sweep.
    #[arg(required = true, value_name = "TARGET")]
    pub(super) targets: Vec<String>,
    /// The file that holds what is known; made where it is missing.
    #[arg(long, value_name = "FILE", default_value = "layersift-sweep.db")]
    pub(super) state: PathBuf,
    /// Name secrets by an HMAC with the key in this file; always the same for a state.
    #[arg(long, value_name = "FILE")]
    pub(super) fingerprint_key_file: Option<PathBuf>,

    /// Only repositories that match this glob, or `regex:EXPRESSION`. May be given several times.
    #[arg(long, value_name = "PATTERN", help_heading = "What is swept")]
    pub(super) repository: Vec<String>,
    /// Only tags that match this glob, or `regex:EXPRESSION`. May be given several times.
    #[arg(long, value_name = "PATTERN", help_heading = "What is swept")]
    pub(super) tag: Vec<String>,
    /// Of each repository only the N tags that were pushed last; where the registry does not say when, those that sort
    /// last as versions do.
    #[arg(long, value_name = "N", help_heading = "What is swept")]
    pub(super) newest: Option<usize>,
    /// Only what was pushed on this day or later, `2026-01-31` or `2026-01-31T10:00:00Z`, and what the registry gives no
    /// time for.
    #[arg(long, value_name = "DATE", value_parser = date, help_heading = "What is swept")]
    pub(super) pushed_since: Option<i64>,
    /// Only layers of so many bytes as stored, with KiB, MiB or GiB behind it or nothing. Larger ones are named as not
    /// read.
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "What is swept")]
    pub(super) max_layer: Option<u64>,
    /// Only this platform, `os/arch[/variant]`. May be given several times.
    #[arg(long, value_name = "PLATFORM", help_heading = "What is swept")]
    pub(super) platform: Vec<Platform>,
    /// Do not ask for manifests that were seen before and that no tag leads to any more.
    #[arg(long, help_heading = "What is swept")]
    pub(super) no_recheck: bool,
    /// Also what refers to images: signatures, SBOMs, artifacts. Takes a request for each manifest, in every sweep.
    #[arg(long, help_heading = "What is swept")]
    pub(super) referrers: bool,
    /// Rules of your own (TOML), added to the built-in ones. May be given several times.
    #[arg(long, value_name = "FILE", help_heading = "What is swept")]
    pub(super) rules: Vec<PathBuf>,

    /// What the registry is: artifactory, auto, azure, ecr, gitea, github, gitlab, google, harbor, hub, nexus, oci, quay,
    /// zot. Lists of its own give digests, and manifests that no tag leads to; `auto` tells those of known hosts, and
    /// Harbor.
    #[arg(
        long,
        value_name = "KIND",
        default_value = "auto",
        help_heading = "What is swept"
    )]
    pub(super) kind: Kind,

    /// Read no more manifests once a registry says that only so many pulls are left of its quota.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Burden")]
    pub(super) keep_pulls: u64,

    #[command(flatten)]
    pub(super) work: WorkArgs,
}

const PLAN_HELP: &str = "\
The folder gets `shard-00000.jsonl` and so on: digests, sizes and repositories, and no login. Each is
read by `layersift scan-layer DIR --shard N` on a machine of its own, with the same rules, limits and
key; `layersift merge` then enters what they wrote. The state ends as a sweep would leave it.

Exit codes:
  0  the plan was written, or there is nothing to read
  2  usage or configuration, or a state that cannot be used
  4  something could not be listed; the plan has the rest
  130, 143  interrupted";

#[derive(Debug, clap::Args)]
#[command(after_help = PLAN_HELP)]
pub(super) struct PlanArgs {
    /// So many shards, of about the same number of bytes.
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub(super) shards: usize,
    /// The folder to write them into; made where it is missing.
    #[arg(long, short, value_name = "DIR")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) run: SweepRunArgs,
}

const SCAN_LAYER_HELP: &str = "\
Targets:
  ./plan --shard 3                                   a shard of the folder that `plan` wrote
  ./plan/shard-00003.jsonl                           the same
  registry.example.com/team/app@sha256:...           one layer, by the digest of its blob

A record holds paths, keyed hashes, and what a redacted report shows; no secret. What was read into
the folder before is not read again: after a crash, run the same command again.

Environment:
  JOB_COMPLETION_INDEX       the shard, where --shard is not given: Kubernetes sets it in an Indexed Job
  LAYERSIFT_FINGERPRINT_KEY  the key, where --fingerprint-key-file is not given

Exit codes:
  0  every layer was read
  2  usage or configuration, or a shard of other rules, limits or another key
  4  something was not read; `merge` will say so too
  130, 143  interrupted";

#[derive(Debug, clap::Args)]
#[command(after_help = SCAN_LAYER_HELP)]
pub(super) struct ScanLayerArgs {
    /// A folder of shards, a shard, or a layer by its digest.
    #[arg(value_name = "TARGET")]
    pub(super) target: String,
    /// The shard of the folder, from 0.
    #[arg(long, value_name = "N", env = "JOB_COMPLETION_INDEX", hide_env_values = true)]
    pub(super) shard: Option<usize>,
    /// The folder to write records into; made where it is missing.
    #[arg(long, short, value_name = "DIR")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) read: ReadArgs,
}

/// How layers are read for a sweep that is elsewhere.
#[derive(Debug, clap::Args)]
pub(super) struct ReadArgs {
    /// The key of the sweep: the file STATE.key beside its state.
    #[arg(long, value_name = "FILE")]
    pub(super) fingerprint_key_file: Option<PathBuf>,
    /// The rules of your own that the sweep is given. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) work: WorkArgs,
}

/// How much whoever reads for a sweep asks of registries and of the machine.
#[derive(Debug, clap::Args)]
pub(super) struct WorkArgs {
    /// At most so many requests a second to each registry.
    #[arg(long, value_name = "N", value_parser = rate, help_heading = "Burden")]
    pub(super) rate: Option<f64>,
    /// So many requests and downloads at a time [default: the limit `downloads-per-host`].
    #[arg(long, value_name = "N", value_parser = jobs, help_heading = "Burden")]
    pub(super) parallel: Option<usize>,

    #[command(flatten)]
    pub(super) registry: RegistryArgs,

    /// End after this time (`90s`, `10m`, `1h`); the same command goes on from there.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Run")]
    pub(super) timeout: Option<Duration>,
    /// Set a cap on what is read, as for `scan`; the same for everybody who reads for a sweep. May be given several times.
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Run")]
    pub(super) limit: Vec<Setting>,
    /// Keep this many cores at work with searching [default: all of them].
    #[arg(long, short, value_name = "N", value_parser = jobs, help_heading = "Run")]
    pub(super) jobs: Option<usize>,
    /// Answer Prometheus at this port of loopback, or at this address: `GET /metrics`.
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = metrics_address, help_heading = "Run")]
    pub(super) metrics: Option<SocketAddr>,
}

const MERGE_HELP: &str = "\
Records of other rules, of another key, or damaged ones are named and left out. To merge twice changes
nothing.

Exit codes:
  0  everything was read, and nothing that can be pulled has a secret
  1  findings
  2  usage or configuration, or a state that cannot be used
  4  something was not read or was refused; no findings so far
  5  something was not read or was refused, and there are findings
  130, 143  interrupted";

#[derive(Debug, clap::Args)]
#[command(after_help = MERGE_HELP)]
pub(super) struct MergeArgs {
    /// Records, or folders of them.
    #[arg(required = true, value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// The state that `plan` made.
    #[arg(long, value_name = "FILE", default_value = "layersift-sweep.db")]
    pub(super) state: PathBuf,
    /// The key of the state [default: STATE.key beside it].
    #[arg(long, value_name = "FILE")]
    pub(super) fingerprint_key_file: Option<PathBuf>,
    /// The rules of your own that the plan was given. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Vec<PathBuf>,
    /// The limits that the plan was given. May be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) limit: Vec<Setting>,
}

#[derive(Debug, clap::Args)]
pub(super) struct SweepReportArgs {
    /// The state.
    #[arg(long, value_name = "FILE", default_value = "layersift-sweep.db")]
    pub(super) state: PathBuf,
    /// What to write: html, json, markdown, to standard output, or `sarif=DIR/`, one file for each image.
    #[arg(long, short, value_name = "FORMAT", default_value = "json")]
    pub(super) format: String,
    /// The key of the state, for `sarif`.
    #[arg(long, value_name = "FILE")]
    pub(super) fingerprint_key_file: Option<PathBuf>,
    /// The rules of your own that the sweep was given, for `sarif`. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct SweepStatusArgs {
    /// The state.
    #[arg(long, value_name = "FILE", default_value = "layersift-sweep.db")]
    pub(super) state: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct QueryArgs {
    #[command(subcommand)]
    pub(super) command: QueryCommand,
    /// The state of the sweeps.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "layersift-sweep.db",
        global = true
    )]
    pub(super) state: PathBuf,
    /// How to print the answer.
    #[arg(long, short, value_name = "FORMAT", default_value = "table", global = true)]
    pub(super) format: QueryFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum QueryFormat {
    Csv,
    Json,
    Table,
}

#[derive(Debug, Subcommand)]
pub(super) enum QueryCommand {
    /// What was read, and what was not and why.
    Coverage,
    /// What was found in one image: `host/repository:tag`, `host/repository@digest` or a digest.
    Image {
        /// The image.
        name: String,
    },
    /// Which tags point elsewhere, are new or gone since a sweep, and the secrets that came and went by it.
    Moved {
        /// The sweep to compare with [default: the one before the last].
        #[arg(long, value_name = "SWEEP")]
        since: Option<i64>,
    },
    /// Secrets that no sweep up to this one had found.
    New {
        /// The sweep.
        #[arg(long, value_name = "SWEEP")]
        since: i64,
    },
    /// Where a secret is or was, and what must be deleted for it to be gone.
    Secret(Box<QuerySecretArgs>),
}

const QUERY_SECRET_HELP: &str = "\
The column `where`:
  live      a tag leads to it
  untagged  no tag leads to it any more, and it can still be pulled by its digest
  past      the tag went on, and another tag leads to it
  gone      the registry has it no more

Exit codes:
  0  it is in nothing that can be pulled
  1  it is
  2  usage, or a state that cannot be used";

#[derive(Debug, clap::Args)]
#[command(after_help = QUERY_SECRET_HELP)]
pub(super) struct QuerySecretArgs {
    /// Its name, `lss1:…` as reports of sweeps have it, or enough of its beginning.
    #[arg(required_unless_present = "value_stdin", conflicts_with = "value_stdin")]
    pub(super) name: Option<String>,
    /// Read the secret itself from standard input.
    #[arg(long)]
    pub(super) value_stdin: bool,
    /// Ask the registries whether every manifest and every blob of it is gone.
    #[arg(long)]
    pub(super) verify_gone: bool,
    /// The key of the state [default: STATE.key beside it].
    #[arg(long, value_name = "FILE")]
    pub(super) fingerprint_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

const UPLOAD_HELP: &str = "\
Environment:
  GH_TOKEN, GITHUB_TOKEN  the access token; the first that is set is used. It needs
                          `security-events: write` in Actions, the scope `security_events` (or
                          `public_repo` for public repositories), or, fine-grained, `Code scanning
                          alerts: write`. There is no option for it: others could read it there
  GITHUB_API_URL          the API of GitHub Enterprise Server, https://HOST/api/v3
  GITHUB_REPOSITORY, GITHUB_SHA, GITHUB_REF, GITHUB_WORKSPACE
                          set by GitHub Actions; without them git is asked

A file whose scan did not finish (`executionSuccessful` is false) is noted by GitHub as a failed
scan: its results do not become alerts, and no alert is closed.

Exit codes:
  0  GitHub has read the file
  2  usage, no token, or no file that GitHub takes
  3  GitHub was not reached, or did not take the file
  4  GitHub has the file, and has not read it yet or notes that its scan did not finish";

#[derive(Debug, clap::Args)]
#[command(after_help = UPLOAD_HELP)]
pub(super) struct UploadArgs {
    /// A SARIF file, of layersift or another tool.
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) github: GithubArgs,
    /// Trust the certificates in this PEM file besides the system's. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(super) ca_cert: Vec<PathBuf>,
}

/// What an upload to GitHub is about.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Upload")]
pub(super) struct GithubArgs {
    /// The repository the alerts are for [default: GITHUB_REPOSITORY, or git's `origin`].
    #[arg(long, value_name = "OWNER/NAME")]
    pub(super) github_repository: Option<String>,
    /// The commit the image was built from [default: GITHUB_SHA, or git's HEAD].
    #[arg(long, value_name = "SHA", requires = "reference")]
    pub(super) commit: Option<String>,
    /// Its branch, tag or pull request, as `refs/heads/main` [default: GITHUB_REF, or git's HEAD].
    #[arg(long = "ref", id = "reference", value_name = "REF", requires = "commit")]
    pub(super) reference: Option<String>,
    /// The folder that absolute paths of the file are made relative to [default: GITHUB_WORKSPACE].
    #[arg(long, value_name = "DIR")]
    pub(super) checkout: Option<PathBuf>,
    /// Wait this long until GitHub has read the file; `0s` does not wait [default: 3m].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) wait: Option<Duration>,
}

impl GithubArgs {
    /// Whether anything of it was given.
    pub(super) fn is_given(&self) -> bool {
        let texts = [&self.github_repository, &self.commit, &self.reference];
        texts.into_iter().any(Option::is_some) || self.checkout.is_some() || self.wait.is_some()
    }
}

/// A mirror of a registry, `HOST=URL`.
#[derive(Clone, Debug)]
pub(super) struct Mirror {
    pub(super) host: String,
    pub(super) url: url::Url,
}

impl std::str::FromStr for Mirror {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, url) = text
            .split_once('=')
            .filter(|(host, _)| !host.is_empty() && !host.contains('/'))
            .ok_or("expected HOST=URL, such as `docker.io=https://mirror.example.com`")?;
        let url: url::Url = url.parse().map_err(|error| format!("its URL: {error}"))?;
        // It is refused before any message could repeat it.
        if url.password().is_some() || !url.username().is_empty() {
            return Err("a login does not belong in the URL: store it for the mirror's host".to_owned());
        }
        match url.scheme() {
            "http" | "https" => Ok(Self {
                host: host.to_owned(),
                url,
            }),
            _ => Err("its URL is not http or https".to_owned()),
        }
    }
}

/// A day or a time in RFC 3339, in seconds since 1970.
fn date(text: &str) -> Result<i64, String> {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;
    let parse = |text: &str| OffsetDateTime::parse(text, &Rfc3339);
    parse(text)
        .or_else(|_| parse(&format!("{text}T00:00:00Z")))
        .map(OffsetDateTime::unix_timestamp)
        .map_err(|_| "expected a date such as `2026-01-31` or `2026-01-31T10:00:00Z`".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let unit = units
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let (digits, shift) = unit.unwrap_or((text, 0));
    let number: Option<u64> = digits.trim().parse().ok();
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "expected a number of bytes, with KiB, MiB or GiB behind it or nothing".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (0.001..=10_000.0).contains(number));
    number.ok_or_else(|| "expected a number of requests a second".to_owned())
}

fn metrics_address(text: &str) -> Result<SocketAddr, String> {
    let of_loopback = text
        .parse()
        .map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    of_loopback
        .or_else(|_| text.parse())
        .map_err(|_| "expected a port, or an address such as `127.0.0.1:9100`".to_owned())
}

fn jobs(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=1024).contains(number));
    number.ok_or_else(|| "expected a number of threads from 1 to 1024".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("expected a time such as `90s`, `10m` or `1h`".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "expected a number and a unit, such as `90s`".to_owned())?;
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_mirror_is_a_host_and_a_url() {
        let mirror: Mirror = "docker.io=https://mirror.example.com/hub".parse().unwrap();
        assert_eq!((mirror.host.as_str(), mirror.url.path()), ("docker.io", "/hub"));
        for wrong in [
            "https://mirror.example.com/?a=b",
            "docker.io",
            "=https://m",
            "a=b",
            "a=ftp://b",
            "a=https://u:p@b",
        ] {
            assert!(wrong.parse::<Mirror>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_have_a_number_and_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("soon").is_err());
        assert!(duration("5d").is_err());
    }
}
