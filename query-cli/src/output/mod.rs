//! Everything that reaches the terminal: stdout is data, stderr is for people.

pub mod csv;
pub mod duration;
pub mod histogram;
pub mod json;
pub mod listing;
pub mod progress;
pub mod table;
pub mod text;
pub mod zone;

use std::io::{self, BufWriter, IsTerminal, Write};

use clap::ValueEnum;

use crate::cli::{ColorChoice, Format, Global};

/// Columns assumed when stdout is no terminal and `COLUMNS` says nothing.
const WIDTH_DEFAULT: usize = 120;
/// Narrower than this nothing can be laid out; the lines then wrap.
const WIDTH_MIN: usize = 40;

/// The two streams of one command and how to write on them.
pub struct Ui {
    out: BufWriter<Box<dyn Write>>,
    /// Format of rows on stdout.
    pub format: Format,
    /// Colours on stdout.
    pub paint: Paint,
    /// Colours on stderr.
    pub paint_err: Paint,
    /// Columns of the terminal.
    pub width: usize,
    /// No notes on stderr, only errors.
    pub quiet: bool,
    /// Whether progress may be drawn: stderr is a terminal and nobody said no.
    pub progress: bool,
}

impl Ui {
    /// The streams of this process, as the global options want them.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        let stdout = io::stdout();
        let out_terminal = stdout.is_terminal();
        let err_terminal = io::stderr().is_terminal();
        Self {
            paint: Paint::choose(global.color, out_terminal),
            paint_err: Paint::choose(global.color, err_terminal),
            width: width(out_terminal),
            out: BufWriter::with_capacity(1 << 16, Box::new(stdout.lock())),
            format: global.format,
            quiet: global.quiet,
            progress: err_terminal && !global.no_progress && !global.quiet,
        }
    }

    /// Where data goes.
    pub fn out(&mut self) -> &mut dyn Write {
        &mut self.out
    }

    /// One line of JSON on stdout.
    ///
    /// # Errors
    /// stdout does not take it.
    pub fn json_line(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        json::write(&mut self.out, value)?;
        self.out.write_all(b"\n")
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// stdout does not take it; a closed pipe among the reasons.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// A line for programs on stderr; being quiet is about people.
    pub fn statement(&mut self, line: &str) {
        let _ = self.out.flush();
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// A line for people, unless they asked for quiet. stderr that is closed is nobody's failure.
    pub fn note(&mut self, line: &str) {
        if !self.quiet {
            // What was printed so far belongs above the note when both streams are one terminal.
            let _ = self.out.flush();
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// A `hint:` line for people.
    pub fn hint(&mut self, line: &str) {
        let line = format!("{}: {line}", self.paint_err.hint("hint"));
        self.note(&line);
    }

    /// A `warning:` line, also when quiet: it tells that the result is less than asked for.
    pub fn warn(&mut self, line: &str) {
        let _ = self.out.flush();
        let _ = writeln!(
            io::stderr(),
            "{}: {line}",
            self.paint_err.warning("warning")
        );
    }
}

/// Width of the terminal in columns.
fn width(terminal: bool) -> usize {
    let from_env = || {
        std::env::var("COLUMNS")
            .ok()
            .and_then(|c| c.parse::<usize>().ok())
    };
    let from_tty = || {
        rustix::termios::tcgetwinsize(io::stdout())
            .ok()
            .map(|w| usize::from(w.ws_col))
            .filter(|w| *w > 0)
    };
    let width = if terminal {
        from_tty().or_else(from_env)
    } else {
        from_env()
    };
    width.unwrap_or(WIDTH_DEFAULT).max(WIDTH_MIN)
}

/// Whether and how to colour. Without colours every output means the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Never colours.
    pub const OFF: Self = Self { on: false };

    /// `--color`, then `NO_COLOR` and `TERM=dumb`, then whether the stream is a terminal.
    #[must_use]
    pub fn choose(choice: ColorChoice, terminal: bool) -> Self {
        let on = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
                terminal && !no_color && !dumb
            }
        };
        Self { on }
    }

    fn with(self, style: anstyle::Style, text: &str) -> String {
        if self.on {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    /// The word `error`.
    #[must_use]
    pub fn error(self, text: &str) -> String {
        self.with(anstyle::AnsiColor::Red.on_default().bold(), text)
    }

    /// The word `warning`.
    #[must_use]
    pub fn warning(self, text: &str) -> String {
        self.with(anstyle::AnsiColor::Yellow.on_default().bold(), text)
    }

    /// The word `hint`.
    #[must_use]
    pub fn hint(self, text: &str) -> String {
        self.with(anstyle::AnsiColor::Cyan.on_default().bold(), text)
    }

    /// A good state.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.with(anstyle::AnsiColor::Green.on_default(), text)
    }

    /// A part of the text that the query hit.
    #[must_use]
    pub fn hit(self, text: &str) -> String {
        self.with(anstyle::AnsiColor::Red.on_default().bold(), text)
    }

    /// What stands back: context, ids, units.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.with(anstyle::Style::new().dimmed(), text)
    }

    /// Headings.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.with(anstyle::Style::new().bold(), text)
    }

    /// Whether colours are on.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.on
    }
}

impl Format {
    /// Whether a program reads it: never cut, never coloured.
    #[must_use]
    pub fn is_machine(self) -> bool {
        self != Self::Table
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value()
            .map(|v| v.get_name().to_owned())
            .unwrap_or_default()
    }
}
