//! Colours, and when to use them.

use crate::args::ColorWhen;
use anstyle::{AnsiColor, Color, Style};
use windlass_report::{Paint, Tone};

const fn bold(color: AnsiColor) -> Style {
    Style::new().bold().fg_color(Some(Color::Ansi(color)))
}
const fn plain(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(color)))
}

pub(crate) const ERROR: Style = bold(AnsiColor::Red);
pub(crate) const WARNING: Style = bold(AnsiColor::Yellow);
pub(crate) const HELP: Style = bold(AnsiColor::Cyan);
pub(crate) const GOOD: Style = bold(AnsiColor::Green);
pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const FAINT: Style = Style::new().dimmed();

/// For telling steps apart; neither red nor green, which mean something.
const STEPS: [Style; 5] = [
    plain(AnsiColor::Cyan),
    plain(AnsiColor::Magenta),
    plain(AnsiColor::Blue),
    plain(AnsiColor::Yellow),
    plain(AnsiColor::BrightCyan),
];

/// The style of the n-th step.
pub(crate) fn step(n: usize) -> Style {
    STEPS[n % STEPS.len()]
}

/// Text in a style, for `anstream`, which takes the colours out where there is no terminal.
pub(crate) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{}{text}{}", style.render(), style.render_reset())
}

/// Gives what runs tell its look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Painter;

impl Paint for Painter {
    fn paint(&self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => GOOD,
            Tone::Bad => ERROR,
            Tone::Warning => WARNING,
            Tone::Help => HELP,
            Tone::Strong => STRONG,
            Tone::Faint => FAINT,
            Tone::Step(n) => step(n),
        };
        paint(style, text)
    }
}

/// The columns of the terminal, where there is one.
pub(crate) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}

/// Follows the flag; `auto` looks at the terminal and at NO_COLOR.
pub(crate) fn choose(when: ColorWhen) {
    let choice = match when {
        ColorWhen::Auto => anstream::ColorChoice::Auto,
        ColorWhen::Always => anstream::ColorChoice::Always,
        ColorWhen::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// A duration for people: `0.4 s`, `12.3 s`, `3 min 20 s`.
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        0..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
        _ => format!("{} h {:02} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// A size for people, in binary units.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = 0;
    let mut value = bytes * 10;
    while value >= 10_240 && unit < 4 {
        value /= 1024;
        unit += 1;
    }
    let name = ["B", "KiB", "MiB", "GiB", "TiB"][unit];
    if unit == 0 { format!("{bytes} B") } else { format!("{}.{} {name}", value / 10, value % 10) }
}

/// Columns, each as wide as its widest cell; the last is not filled.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    use unicode_width::UnicodeWidthStr as _;
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| bare(cell).width()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                let fill = widths[column].saturating_sub(bare(cell).width()) + 2;
                text.extend(std::iter::repeat_n(' ', fill));
            }
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// Without escape sequences: what has a width.
fn bare(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_people() {
        assert_eq!(
            [0, 449, 59_999, 200_000, 3_600_000].map(duration),
            ["0.0 s", "0.4 s", "59.9 s", "3 min 20 s", "1 h 00 min"]
        );
        assert_eq!([0, 1023, 1024, 1_572_864].map(size), ["0 B", "1023 B", "1.0 KiB", "1.5 MiB"]);
        let rows = [
            vec!["a".to_owned(), paint(GOOD, "bb"), "c".to_owned()],
            vec!["long".to_owned(), "b".to_owned(), "c".to_owned()],
        ];
        assert_eq!(anstream::adapter::strip_str(&table(&rows)).to_string(), "a     bb  c\nlong  b   c\n");
    }
}
