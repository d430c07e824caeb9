//! Writes a drawing as a DOT digraph.

use std::fmt::Write as _;

use super::drawing::{Drawing, Group, Vertex};

/// The digraph, rows flowing from left to right.
pub(super) fn digraph(drawing: &Drawing) -> String {
    let mut out = String::from("digraph job {\n  rankdir=LR;\n  compound=true;\n  node [shape=box];\n");
    boxes(&drawing.boxes, 1, &mut out);
    groups(&drawing.groups, 1, &mut out);
    for arrow in &drawing.arrows {
        let frames = arrow.frames.as_ref();
        let frames = frames.map(|(from, to)| format!(", ltail=\"cluster_{from}\", lhead=\"cluster_{to}\""));
        let (from, to, label) = (&arrow.from, &arrow.to, escaped(&arrow.label));
        let style = if arrow.dashed { ", style=dashed" } else { "" };
        let _ = writeln!(out, "  {from} -> {to} [label=\"{label}\"{style}{}];", frames.unwrap_or_default());
    }
    out.push_str("}\n");
    out
}

fn groups(groups: &[Group], depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for group in groups {
        // Graphviz draws a frame around a subgraph whose name begins so.
        let _ = writeln!(out, "{indent}subgraph cluster_{} {{", group.id);
        let _ = writeln!(out, "{indent}  label=\"{}\";", escaped(&group.label));
        boxes(&group.boxes, depth + 1, out);
        self::groups(&group.groups, depth + 1, out);
        let _ = writeln!(out, "{indent}}}");
    }
}

fn boxes(boxes: &[Vertex], depth: usize, out: &mut String) {
    for b in boxes {
        let lines: Vec<String> = b.lines.iter().map(|line| escaped(line)).collect();
        let _ = writeln!(out, "{}{} [label=\"{}\"];", "  ".repeat(depth), b.id, lines.join("\\n"));
    }
}

/// Text within a quoted label: a backslash begins an escape there.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
