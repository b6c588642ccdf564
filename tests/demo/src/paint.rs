//! Colour, on a terminal only, and not where `NO_COLOR` asks for none.

use std::io::IsTerminal as _;
use std::sync::LazyLock;

static COLOUR: LazyLock<bool> = LazyLock::new(|| {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    std::io::stdout().is_terminal() && !unwanted && !dumb
});

fn painted(code: &str, text: &str) -> String {
    if *COLOUR { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

pub(crate) fn title(text: &str) -> String {
    painted("1", text)
}

pub(crate) fn good(text: &str) -> String {
    painted("32", text)
}

pub(crate) fn bad(text: &str) -> String {
    painted("1;31", text)
}

pub(crate) fn faint(text: &str) -> String {
    painted("2", text)
}
