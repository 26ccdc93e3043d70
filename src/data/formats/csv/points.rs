//! Measured points of a function, for fitting: the columns named x and y (in any case) of a table, others aside, or
//! the two columns of one without a header, as numpy.savetxt and every instrument write them. Knows no function.

use super::cells::Cell;
use super::table::Table;
use anyhow::{Context as _, Result, bail, ensure};
use csv::ByteRecord;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const FEWEST: usize = 4;
const MOST: usize = 4 << 20;

/// x and y of each point, in the file's order; finite.
///
/// # Errors
/// Where the file cannot be read, has no such columns, or fewer than 4 points; where a number is missing, none or
/// infinite, its line is named.
pub fn points(path: &Path) -> Result<Vec<(f64, f64)>> {
    let from = path.display().to_string();
    let file = File::open(path).with_context(|| format!("{from} cannot be read: name a readable file of points"))?;
    parse(file, &from)
}

/// As [`points`], of any bytes; `from` is what errors call them.
///
/// # Errors
/// As [`points`].
pub fn parse(source: impl Read, from: &str) -> Result<Vec<(f64, f64)>> {
    let mut table = Table::open(source, from)?;
    let (x, y) = columns(&table)?;
    let mut points = Vec::new();
    let mut row = ByteRecord::new();
    while let Some(line) = table.next(&mut row)? {
        ensure!(points.len() < MOST, "{from} has more than {MOST} points: take fewer of them");
        let mut number = |column: usize, name| {
            let number = table.feature(&row, column, line)?;
            let truth = matches!(table.cell(&row[column]), Cell::Truth(_));
            ensure!(!truth, "{from}, line {line}: {name} is a truth value, and a number is expected: correct it");
            Ok(number)
        };
        points.push((number(x, "x")?, number(y, "y")?));
    }
    ensure!(points.len() >= FEWEST, "{from} has {} points, and {FEWEST} are the fewest: add some", points.len());
    Ok(points)
}

fn columns(table: &Table) -> Result<(usize, usize)> {
    let Some(names) = &table.names else {
        ensure!(
            table.width == 2,
            "{} has no header and {} of numbers, and two are expected (x and y): name two of them x and y in a first \
             row",
            table.from,
            if table.width == 1 { "one column".to_string() } else { format!("{} columns", table.width) }
        );
        return Ok((0, 1));
    };
    let find = |wanted: &str| {
        let mut found = (0..names.len()).filter(|column| names[*column].eq_ignore_ascii_case(wanted));
        match (found.next(), found.next()) {
            (Some(column), None) => Ok(column),
            (None, _) => bail!("{} has {}: name two of them x and y", table.from, table.listed()),
            _ => bail!("{} has several columns {wanted}: name only one so", table.from),
        }
    };
    Ok((find("x")?, find("y")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dialects() {
        let expected = vec![(0.0, 1.5), (1.0, -2.0), (2.0, 1e-3), (3.0, 4.0)];
        for text in [
            "x,y\n0,1.5\n1,-2\n2,1e-3\n3,4\n",
            "X;Y\r\n0;1,5\r\n1;-2\r\n2;1e-3\r\n3;4\r\n",
            "\u{feff}sep=;\nt;x;y\n9;0;1,5\n9;1;-2\n;2;0,001\nz;3;4\n",
            "y,x\n1.5,0\n-2,1\n.001,2\n4,3",
            ",x,y\n0,0,1.5\n1,1,-2\n2,2,0.001\n3,3,4\n",
            "0 1.5\n1 -2\n 2   1e-3\n3 4\n",
            "# x y\n0 1.5\n1 -2\n2 1e-3\n3 4\n",
            "# x,y\n0 1.5\n1 -2\n2 1e-3\n3 4\n",
            "0\t1,5\r1\t-2\r2\t0,001\r3\t4\r",
            "\"\" \" x \" \"y\"\n\"a\" 0 1.5\n\"b\" 1 -2\n\"c\" 2 1e-3\n\"d\" 3 4\n",
        ] {
            assert_eq!(
                parse(text.as_bytes(), "p").map_err(|error| error.to_string()),
                Ok(expected.clone()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn refusals() {
        for (text, expected) in [
            ("", "p is empty"),
            ("1,2\n3,4\n5,6\n", "p has 3 points, and 4 are the fewest"),
            ("1\n2\n3\n4\n", "no header and one column"),
            ("1,2,3\n4,5,6\n", "no header and 3 columns"),
            ("a,b\n1,2\n", "p has the columns \"a\", \"b\": name two of them x and y"),
            ("x,X,y\n1,2,3\n", "several columns x"),
            ("x,y\n1,2\n3,nan\n", "p, line 3, column \"y\": a number is missing (found \"nan\")"),
            ("x,y\n1,2\n3,\n", "p, line 3, column \"y\": a number is missing"),
            ("x,y\n1,2\n3,inf\n", "p, line 3, column \"y\": \"inf\" is beyond"),
            ("x,y\n1,2\n3,b\n", "p, line 3, column \"y\": \"b\" is no number"),
            ("x,y\n1,2\n3,True\n", "p, line 3: y is a truth value"),
            ("x,y\n1,2\n3\n", "p, line 3: 2 cells expected"),
        ] {
            let error = parse(text.as_bytes(), "p").unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{text:?}: {error}");
        }
        assert!(points(Path::new("/nowhere")).unwrap_err().to_string().contains("/nowhere"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_points(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(points) = parse(&bytes[..], "p") {
                prop_assert!(points.iter().all(|(x, y)| x.is_finite() && y.is_finite()));
            }
        }

        #[test]
        fn any_text_is_refused_or_points(text in "[xy0-9.,; \t\n\r\"#e+-]{0,200}") {
            let _ = parse(text.as_bytes(), "p");
        }

        #[test]
        fn points_come_back(points in prop::collection::vec((-1e30..1e30, -1e30..1e30), 4..20)) {
            for (header, separator) in [("x,y\n", ","), ("", ","), ("", " "), ("y;x\n", ";"), ("", "\t")] {
                let row = |(x, y): &(f64, f64)| {
                    if header.starts_with('y') { format!("{y:e};{x:e}\r\n") } else { format!("{x:e}{separator}{y:e}\n") }
                };
                let text = header.to_string() + &points.iter().map(row).collect::<String>();
                prop_assert_eq!(&parse(text.as_bytes(), "p").unwrap(), &points);
            }
        }
    }
}
