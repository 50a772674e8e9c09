//! The steps of a fold, after each of which it may be the last that this process does.
//!
//! Owns their names. In a build for tests `HEADCOUNT_ABORT_AFTER` names one at which the process
//! ends there and then, as by kill -9.

/// `[fold.order]`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Lock,
    Clean,
    SetAside,
    Read,
    Write,
    Sync,
    Publish,
    Settle,
    Delete,
}

/// Says that a step is done.
#[cfg(debug_assertions)]
pub(super) fn reached(step: Step) {
    let name = match step {
        Step::Lock => "lock",
        Step::Clean => "clean",
        Step::SetAside => "set-aside",
        Step::Read => "read",
        Step::Write => "write",
        Step::Sync => "sync",
        Step::Publish => "publish",
        Step::Settle => "settle",
        Step::Delete => "delete",
    };
    if std::env::var_os("HEADCOUNT_ABORT_AFTER").is_some_and(|wanted| wanted == name) {
        std::process::abort();
    }
}

/// Says that a step is done.
#[cfg(not(debug_assertions))]
pub(super) fn reached(_step: Step) {}
