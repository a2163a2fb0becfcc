//! Tables for a terminal: columns as wide as their widest cell.

/// The rows under one another: the first column to the left, the others to the right. A row may be shorter or longer than the first one.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            line += &if index == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
        }
        text += line.trim_end();
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_no_line_ends_with_spaces() {
        let rows =
            [&["a", "p50"][..], &["long", "7"], &["b"]].map(|row| row.iter().map(|it| (*it).to_owned()).collect());
        assert_eq!(columns(&rows), "a     p50\nlong    7\nb\n");
    }
}
