//! Lines of log from anywhere in a provider: `info!("renewed {count} leases")`.
//!
//! They go to the host that runs the provider on this thread, and from there into its own log. A
//! level that the host does not want costs no formatting. Never a body, a token or an address.

/// Somebody must look.
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => { $crate::log_line!(Error, $($message)+) };
}

/// Somebody may want to look.
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => { $crate::log_line!(Warn, $($message)+) };
}

/// What happened.
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::log_line!(Info, $($message)+) };
}

/// How it happened.
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => { $crate::log_line!(Debug, $($message)+) };
}

/// Every step.
#[macro_export]
macro_rules! trace {
    ($($message:tt)+) => { $crate::log_line!(Trace, $($message)+) };
}

/// One line of a level: what the five macros become.
#[doc(hidden)]
#[macro_export]
macro_rules! log_line {
    ($level:ident, $($message:tt)+) => {
        $crate::abi::plugin::log(
            $crate::abi::Level::$level,
            module_path!(),
            format_args!($($message)+),
        )
    };
}
