//! What is above the field, against big integers. Beside the files and not in them: `yanqian-toy-curve` compiles those over another field.

mod point;
mod recode;
mod scalar;
mod table;
