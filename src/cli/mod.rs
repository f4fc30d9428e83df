//! The command line: arguments, progress, messages and exit codes. Everything else is in the library, which never
//! prints and never exits.

mod args;
mod baseline;
mod cat;
mod checkout;
mod completions;
mod config;
mod doctor;
mod exit;
mod gate;
mod interrupt;
mod list;
mod login;
mod man;
mod merge;
mod messages;
mod plan;
mod plugin;
mod progress;
mod query;
mod queue;
mod rules;
mod scan;
mod scan_layer;
pub mod show;
mod summary;
mod sweep;
mod upload;
mod work;
mod worker;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use args::{Args, Command};
use exit::Exit;
use messages::Messages;
use plugin::Call;

/// Runs the command that `arguments` (program name first) ask for.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let call = match plugin::call(arguments.into_iter().collect()) {
        Ok(call) => call,
        Err(error) => {
            Messages::plain().error(&error);
            return Exit::Usage.into();
        }
    };
    let (arguments, is_push) = match call {
        Call::Command(arguments) => (arguments, false),
        Call::Push(arguments) => (arguments, true),
        Call::Nothing => return Exit::Clean.into(),
        Call::Metadata => return plugin::metadata(),
    };
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => return messages::version(),
        Err(error) => return messages::usage(&error),
    };
    messages::quiet_panics();
    let messages = Messages::new(&args.output);
    messages.trace(args.output.verbose);
    let result = match args.command {
        Command::Baseline(baseline) => baseline::run(*baseline, &args.output, &messages),
        Command::Cat(cat) => cat::run(&cat, &args.output, &messages),
        Command::Completions(completions) => completions::run(&completions),
        Command::Doctor => doctor::run(&args.output),
        Command::Gate(gate) if is_push => plugin::push(*gate, &args.output, &messages),
        Command::Gate(gate) => gate::run(*gate, &args.output, &messages),
        Command::List(list) => list::run(&list, &messages),
        Command::Login(login) => login::run(&login, &messages),
        Command::Man(man) => man::run(&man),
        Command::Merge(merge) => merge::run(&merge, &messages),
        Command::Plan(plan) => plan::run(*plan, &messages),
        Command::Query(query) => query::run(query, &messages),
        Command::Rules(rules) => rules::run(&rules, &messages),
        Command::Scan(scan) => scan::run(*scan, &args.output, &messages),
        Command::ScanLayer(scan) => scan_layer::run(&scan, &messages),
        Command::Show(show) => show::run(&show, &args.output),
        Command::Sweep(sweep) => sweep::run(*sweep, &args.output, &messages),
        Command::Upload(upload) => upload::run(&upload, &messages),
        Command::Worker(worker) => worker::run(&worker, &messages),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            messages.error(&error);
            Exit::of(&error).into()
        }
    }
}
