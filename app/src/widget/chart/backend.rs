//! A drawing backend for plotters that writes SVG with classes instead of colours, so that the
//! style sheet themes a chart and the strict content policy accepts it.
//!
//! Plotters counts in whole units; a unit is a tenth of a pixel here, so that lines are smooth.

use plotters::style::RGBColor;
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, DrawingBackend, DrawingErrorKind,
};
use std::{convert::Infallible, fmt::Write};

/// Units in a pixel.
pub const UNITS: i32 = 10;

/// What something is drawn as. Each ink is a class of the style sheet: `ink-lead`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ink {
    /// Grid lines.
    Grid,
    /// The leading series.
    Lead,
    /// Series that give context.
    Context,
    /// A series of failures.
    Error,
    /// The filled area under a series.
    Area,
}

const INKS: [(Ink, &str); 5] = [
    (Ink::Grid, "ink-grid"),
    (Ink::Lead, "ink-lead"),
    (Ink::Context, "ink-context"),
    (Ink::Error, "ink-error"),
    (Ink::Area, "ink-area"),
];

impl Ink {
    /// The colour that stands for it while plotters carries it around.
    #[must_use]
    pub const fn color(self) -> RGBColor {
        RGBColor(0, 0, self as u8)
    }

    /// Its class.
    #[must_use]
    pub fn class(self) -> &'static str {
        INKS.iter().find(|(ink, _)| *ink == self).map_or("", |(_, class)| class)
    }
}

fn class(color: BackendColor) -> &'static str {
    INKS.get(usize::from(color.rgb.2)).map_or("", |(_, class)| class)
}

/// Writes SVG elements into a string.
pub struct ClassBackend<'a> {
    out: &'a mut String,
    size: (u32, u32),
}

impl<'a> ClassBackend<'a> {
    /// A canvas of so many pixels.
    pub fn new(out: &'a mut String, width: u32, height: u32) -> Self {
        let units = UNITS.unsigned_abs();
        Self { out, size: (width * units, height * units) }
    }

    fn points(&mut self, path: impl IntoIterator<Item = BackendCoord>) {
        for (i, (x, y)) in path.into_iter().enumerate() {
            self.out.push_str(if i == 0 { "M" } else { " " });
            push_units(self.out, x);
            self.out.push(',');
            push_units(self.out, y);
        }
    }
}

/// Writes units as pixels: `123` as `12.3`.
fn push_units(out: &mut String, units: i32) {
    let (whole, tenth) = (units / UNITS, (units % UNITS).abs());
    let sign = if units < 0 && whole == 0 { "-" } else { "" };
    let _ = if tenth == 0 {
        write!(out, "{sign}{whole}")
    } else {
        write!(out, "{sign}{whole}.{tenth}")
    };
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl DrawingBackend for ClassBackend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, _: BackendCoord, _: BackendColor) -> Drawn {
        Ok(())
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        _fill: bool,
    ) -> Drawn {
        let ((x0, y0), (x1, y1)) = (upper_left, bottom_right);
        self.fill_polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], &style.color())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let _ = write!(self.out, "<path class=\"{}\" d=\"", class(style.color()));
        self.points(path);
        self.out.push_str("\"/>");
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        _fill: bool,
    ) -> Drawn {
        let _ = write!(self.out, "<circle class=\"{} ink-dot\" cx=\"", class(style.color()));
        push_units(self.out, center.0);
        self.out.push_str("\" cy=\"");
        push_units(self.out, center.1);
        self.out.push_str("\" r=\"");
        push_units(self.out, i32::try_from(radius).unwrap_or(UNITS));
        self.out.push_str("\"/>");
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vert: I,
        style: &S,
    ) -> Drawn {
        let _ = write!(self.out, "<path class=\"{}\" d=\"", class(style.color()));
        self.points(vert);
        self.out.push_str("Z\"/>");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_written_as_tenths_of_pixels() {
        let mut out = String::new();
        for units in [0, 7, -7, 120, 123, -123] {
            push_units(&mut out, units);
            out.push(' ');
        }
        assert_eq!(out, "0 0.7 -0.7 12 12.3 -12.3 ");
    }

    #[test]
    fn an_ink_comes_out_as_its_class_and_no_colour_is_written() {
        let mut out = String::new();
        let mut backend = ClassBackend::new(&mut out, 10, 10);
        let color = BackendColor { alpha: 1.0, rgb: (0, 0, Ink::Error as u8) };
        assert!(backend.draw_path([(0, 5), (100, 25)], &color).is_ok());
        assert_eq!(out, "<path class=\"ink-error\" d=\"M0,0.5 10,2.5\"/>");
    }
}
