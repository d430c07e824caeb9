//! Writes a drawing as a Mermaid flowchart.

use std::fmt::Write as _;

use super::drawing::{Drawing, Group, Vertex};

/// The flowchart, rows flowing from left to right.
pub(super) fn flowchart(drawing: &Drawing) -> String {
    let mut out = String::from("flowchart LR\n");
    boxes(&drawing.boxes, 1, &mut out);
    groups(&drawing.groups, 1, &mut out);
    for arrow in &drawing.arrows {
        let (from, to) = arrow.frames.as_ref().map_or((&arrow.from, &arrow.to), |(from, to)| (from, to));
        let line = if arrow.dashed { "-.->" } else { "-->" };
        let _ = writeln!(out, "  {from} {line}|\"{}\"| {to}", escaped(&arrow.label));
    }
    out
}

fn groups(groups: &[Group], depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for group in groups {
        let _ = writeln!(out, "{indent}subgraph {}[\"{}\"]", group.id, escaped(&group.label));
        boxes(&group.boxes, depth + 1, out);
        self::groups(&group.groups, depth + 1, out);
        let _ = writeln!(out, "{indent}end");
    }
}

fn boxes(boxes: &[Vertex], depth: usize, out: &mut String) {
    for b in boxes {
        let lines: Vec<String> = b.lines.iter().map(|line| escaped(line)).collect();
        let _ = writeln!(out, "{}{}[\"{}\"]", "  ".repeat(depth), b.id, lines.join("<br>"));
    }
}

/// Text within a quoted label: Mermaid reads entity codes in it (`#quot;`, `#35;`), HTML, and Markdown after a backquote.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' | '*' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
