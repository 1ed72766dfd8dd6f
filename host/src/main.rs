//! The program: the server, its probe, and the client commands.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use triggerd::cli::{Arguments, Command, Failure};
use triggerd::{app, cli, plugins};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A thread that may wait ends when it had nothing to do for so long: less than the second between two
/// looks at the folders, which would keep several alive otherwise, and the memory that they hold.
const KEPT_ALIVE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::ProbeLibrary { library } => ExitCode::from(plugins::probe::run_probe(&library)),
        Command::Serve(flags) => end(serve(&flags.layers())),
        command => end(client(command)),
    }
}

fn serve(layers: &triggerd::config::Layers) -> Result<(), Failure> {
    let config = triggerd::config::load(layers).map_err(|error| Failure::of(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(KEPT_ALIVE)
        .build();
    let runtime = runtime.map_err(|error| Failure::of(&error))?;
    let served = runtime.block_on(app::serve(config));
    // Everything came to its end or was given up; a name that is still being resolved is not
    // waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.map_err(|error| Failure::of(&error))
}

fn client(command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::of(&error))?;
    runtime.block_on(cli::run(command))
}

fn end(ended: Result<(), Failure>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody may be there to read it; the exit code says it too.
            let _ = writeln!(std::io::stderr(), "triggerd: {}", failure.message);
            ExitCode::FAILURE
        }
    }
}
