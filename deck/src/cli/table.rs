//! Tables as Docker's tabwriter makes them: cells end at tabs, at least ten wide, three spaces
//! between.

const MINIMUM: usize = 10;
const PADDING: usize = 3;

/// Aligns the tab-separated cells of `text`.
pub fn align(text: &str) -> String {
    align_with(text, MINIMUM, PADDING)
}

/// As [`align`] with a minimal width and a padding of one's own.
pub fn align_with(text: &str, minimum: usize, padding: usize) -> String {
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        // The last cell of a line isn't ended by a tab and takes no part.
        for (column, cell) in row.iter().enumerate().take(row.len() - 1) {
            if widths.len() <= column {
                widths.push(minimum);
            }
            widths[column] = widths[column].max(cell.chars().count() + padding);
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if column < row.len() - 1 {
                let fill = widths[column] - cell.chars().count();
                out.extend(std::iter::repeat_n(' ', fill));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(
            align("A\tB\tC\nlong-long-cell\tx\ty\n"),
            "A                B         C\nlong-long-cell   x         y\n"
        );
    }

    #[test]
    fn empty_cells_keep_their_place() {
        assert_eq!(align("A\t\tC\n"), "A                   C\n");
    }
}
