// What Rust writes into the page and the script reads, and what the modules here tell one another. Types only: tsc checks
// them, and a test holds the first half against src/output/page/explore.rs.

/**
 * A figure as data: the header of a block in the page.
 * @typedef {object} Figure
 * @property {string} name  of its files
 * @property {string} title
 * @property {string} caption
 * @property {number} columns  panels a row
 * @property {Panel[]} panels  row by row
 */

/**
 * One of the four contents is there.
 * @typedef {object} Panel
 * @property {string} title
 * @property {Plot} [plot]
 * @property {HeatMap} [heat_map]
 * @property {Images} [images]
 * @property {Surface} [surface]
 */

/**
 * @typedef {object} Plot
 * @property {Axis} x
 * @property {Axis} y
 * @property {Series[]} series  the last lies on top
 * @property {Right} [right]  a second vertical axis and what it measures
 * @property {Rule[]} rules  values of x that vertical lines mark
 * @property {Contours} [contours]  level lines behind the curves
 */

/**
 * @typedef {object} Right
 * @property {Axis} axis
 * @property {Series[]} series
 */

/**
 * @typedef {object} Rule
 * @property {number} x
 * @property {string} label  often empty
 */

/**
 * @typedef {object} Axis
 * @property {string} label
 * @property {"linear" | "log" | "symlog"} scale
 * @property {number} [linear]  of symlog: linear within ± ten to this power
 * @property {number[]} levels  where the ticks are, if these few values are all there is; else empty
 * @property {number[]} [reach]  values that it shows in any case
 */

/**
 * @typedef {object} Series
 * @property {string} label  empty for none in the legend
 * @property {number} [color]  of the cycle of six; none: ink
 * @property {"line" | "dashed" | "points" | "line_points" | "band" | "crosses" | "circles" | "path" | "open_path" | "bars" | "thin"} mark
 * @property {Numbers} x  of bars the left edges
 * @property {Numbers} y  of a band the lower edges, of bars the heights
 * @property {Numbers} [to]  of a band the upper edges, of bars the right ones
 * @property {number} left_out  points that are not finite
 * @property {number} of  points before thinning, with min and max kept in each column of pixels
 * @property {string} name  of one of several that are alike, such as "seed 3"; else empty
 * @property {Series[]} members  what a mean is of: one curve a seed, shown when asked for
 */

/**
 * Numbers in the block behind the header; NaN where there is none.
 * @typedef {object} Numbers
 * @property {"f64" | "f32" | "i32" | "u8" | "range"} type
 * @property {number} count
 * @property {number} at  bytes from the end of the header, a multiple of eight; of a range the first number
 * @property {number} [step]  of a range: its numbers are at + step · i
 */

/**
 * @typedef {object} Contours
 * @property {Numbers} x  columns of the grid, rising
 * @property {Numbers} y  its rows
 * @property {Numbers} z  row by row
 * @property {Level[]} levels
 */

/**
 * @typedef {object} Level
 * @property {number} value
 * @property {string} label
 */

/**
 * @typedef {object} HeatMap
 * @property {string} x  what the columns are
 * @property {string} y  what the rows are
 * @property {string[]} columns
 * @property {string[]} rows  from the top
 * @property {Numbers} counts  row by row
 * @property {Numbers} shades  what colours them: from white at zero, or the lowest if negative, to the highest; NaN is grey
 */

/**
 * @typedef {object} Images
 * @property {number} width
 * @property {number} height
 * @property {"ink" | "rgb"} pixels  ink: one byte, 0 for paper and 255 for ink; rgb: three
 * @property {number} columns
 * @property {string[]} captions
 * @property {Numbers} bytes  image by image
 */

/**
 * @typedef {object} Surface
 * @property {Axis} x
 * @property {Axis} y
 * @property {Axis} z
 * @property {Numbers} at_x  columns of the grid, rising
 * @property {Numbers} at_y  its rows
 * @property {Numbers} values  row by row; a cell with a corner that cannot be shown is left out
 * @property {Numbers} path  x, y, z of each point of a path on it
 * @property {Numbers} point  x, y, z of one marked point, or empty
 */

// From here on nothing of Rust's.

/**
 * Arrays for Numbers: what decoding a block gives.
 * @typedef {(numbers: Numbers | undefined) => ArrayLike<number>} Read
 */

/**
 * What a figure shows at a place, in words and numbers.
 * @typedef {object} Reading
 * @property {string} text  one line, for a screen reader and the box beside the cursor
 * @property {[string, string][]} rows  name and value, for the box
 * @property {number} px  where it is, in CSS pixels of the view
 * @property {number} py
 */

/**
 * One panel drawn on a canvas. The host owns canvas, pointer, keyboard, buttons and theme; a view owns what is in it.
 * @typedef {object} View
 * @property {(ctx: CanvasRenderingContext2D, width: number, height: number, theme: Theme) => void} draw  in CSS pixels
 * @property {(px: number, py: number) => Reading | null} at  the nearest thing to a place; it becomes the current one
 * @property {(dx: number, dy: number, far: boolean) => Reading | null} step  arrow keys: to the next thing, or ten on; ±Infinity: to the end
 * @property {() => void} leave  nothing is current
 * @property {(px: number, py: number, factor: number) => void} zoom  around a place
 * @property {(from: [number, number], to: [number, number], far: boolean) => void} drag  far: with the second way of dragging (shift, two fingers)
 * @property {() => void} reset
 * @property {() => string[][]} table  all its numbers, the first row names them: for CSV
 * @property {() => string} summary  what a screen reader hears when it comes here
 * @property {() => Control[]} controls  what it wants under the figure
 * @property {number} [aspect]  height by width, where it has one of its own
 */

/**
 * A slider or a choice under a figure.
 * @typedef {object} Control
 * @property {"slider" | "choice" | "switch"} kind
 * @property {string} label
 * @property {number} [min]
 * @property {number} [max]
 * @property {string[]} [choices]
 * @property {() => number} get
 * @property {(value: number) => void} set
 * @property {(value: number) => string} say  the value in words
 */

/**
 * Colours as CSS has them, of light or dark.
 * @typedef {object} Theme
 * @property {boolean} dark
 * @property {string} ink
 * @property {string} soft
 * @property {string} line
 * @property {string} paper
 * @property {string[]} cycle  six
 */

export {};
