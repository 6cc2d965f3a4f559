//! `wxgate run`: the gateway until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::Exit;
use super::report::talk;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{self, Config, Examined, Watch};
use crate::observe::{Reload, logs};

/// Stack of the thread that a reload reads on, in bytes: as much as the main thread usually has, which read the same files at
/// the start. The parser of rules recurses a dozen calls for each bracket, and brackets may be nested 32 deep.
const READING_STACK: usize = 8 << 20;

/// Run the gateway.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Configuration file
    #[arg(long, default_value = "wxgate.toml")]
    config: PathBuf,
    /// Write logs as JSON
    #[arg(long)]
    log_json: bool,
    /// For tests only: the clock goes wrong by this, `30s` or `-30s`. Nobody who runs a gateway wants it, so no help shows it.
    #[arg(long, hide = true, allow_hyphen_values = true, value_parser = clock_of, default_value = "0s", hide_default_value = true)]
    clock_offset: Clock,
}

pub(super) fn run(args: &Args) -> ExitCode {
    logs::start(args.log_json);
    let Examined { outcome, warnings, files } = config::examine(&args.config);
    let config = match outcome {
        Ok(config) => config,
        Err(problems) => {
            talk(format_args!("{problems}; nothing was started"));
            return if problems.is_unreadable() { Exit::Usage.into() } else { Exit::Failed.into() };
        }
    };
    log_warnings(&warnings);
    let runtime =
        match tokio::runtime::Builder::new_current_thread().enable_all().thread_stack_size(READING_STACK).build() {
            Ok(runtime) => runtime,
            Err(error) => {
                talk(format_args!("wxgate: no runtime: {error}"));
                return Exit::Failed.into();
            }
        };
    let exit = runtime.block_on(serve(args, config, Watch::new(files)));
    // Nothing is left to wait for, unless a second signal came: then nothing is waited for.
    runtime.shutdown_background();
    exit.into()
}

/// The machine's clock, or one that is wrong by whole seconds.
fn clock_of(offset: &str) -> Result<Clock, String> {
    let seconds = offset.strip_suffix('s').and_then(|seconds| seconds.parse::<i64>().ok());
    match seconds.and_then(|seconds| seconds.checked_mul(1000)) {
        Some(0) => Ok(Clock::System),
        Some(millis) => Ok(Clock::Shifted(millis)),
        None => Err("whole seconds, `30s` or `-30s`".to_owned()),
    }
}

async fn serve(args: &Args, config: Config, mut watch: Watch) -> Exit {
    // What a running gateway cannot change is compared with what it was started with.
    let started_with = config.fixed();
    // Before anything is served: a signal that nobody listens to yet ends the process.
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
        talk("wxgate: signals cannot be listened to");
        return Exit::Failed;
    };
    if let Clock::Shifted(millis) = args.clock_offset {
        tracing::warn!(millis, "the clock is wrong on purpose (--clock-offset): for tests only");
    }
    let app = match App::start(config, args.clock_offset.clone()).await {
        Ok(app) => app,
        Err(error) => {
            talk(format_args!("wxgate: {error}"));
            return Exit::Failed;
        }
    };
    for address in app.addresses() {
        tracing::info!(%address, "taking callbacks");
    }
    if let Some(address) = app.admin_address() {
        tracing::info!(%address, "admin");
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(args, &app, &started_with, &mut watch).await,
            () = watch.changed() => reload(args, &app, &started_with, &mut watch).await,
        }
    }
    tracing::info!(in_flight = app.gate().in_flight(), "shutting down");
    tokio::select! {
        () = app.shutdown() => {
            tracing::info!("stopped");
            return Exit::Good;
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::warn!("stopped at once by a second signal: what was in flight is left to WeChat's next try");
    Exit::Failed
}

/// A bad file changes nothing: the last good configuration goes on.
async fn reload(args: &Args, app: &App, started_with: &config::Fixed, watch: &mut Watch) {
    let path = args.config.clone();
    let ended = |reload| app.gate().observe().config_reloaded(reload, app.gate().clock().now());
    // Off the runtime: files are read and keys parsed, while the admin listener answers.
    let Ok(Examined { outcome, warnings, files }) = tokio::task::spawn_blocking(move || config::examine(&path)).await
    else {
        ended(Reload::Rejected);
        tracing::error!("configuration not reloaded: reading it panicked; the last good one goes on");
        return;
    };
    watch.follow(files);
    match outcome {
        Ok(config) => {
            let for_a_restart = started_with.changed(&config.fixed());
            for key in &for_a_restart {
                tracing::warn!(key, "changed in the file, but takes a restart");
            }
            log_warnings(&warnings);
            app.reload(config.endpoints);
            ended(Reload::Taken { needs_restart: !for_a_restart.is_empty() });
            tracing::info!("configuration reloaded");
        }
        Err(problems) => {
            ended(Reload::Rejected);
            tracing::error!("configuration not reloaded, the last good one goes on:\n{problems}");
        }
    }
}

fn log_warnings(warnings: &[config::Problem]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_wrong_by_whole_seconds_or_not_at_all() {
        let shift = |offset| match clock_of(offset) {
            Ok(Clock::System) => Some(0),
            Ok(Clock::Shifted(millis)) => Some(millis),
            Ok(Clock::Manual(_)) | Err(_) => None,
        };
        assert_eq!((shift("0s"), shift("30s"), shift("-30s")), (Some(0), Some(30_000), Some(-30_000)));
        for wrong in ["", "s", "30", "1m", "1.5s", "9223372036854775807s"] {
            assert_eq!(shift(wrong), None, "{wrong}");
        }
    }
}
