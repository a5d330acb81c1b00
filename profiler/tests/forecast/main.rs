//! The forecast: against textbooks, another exact method, and simulations that know the answer.

#[cfg(test)]
mod bad_numbers;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod measured;
#[cfg(test)]
mod model;
#[cfg(test)]
mod network;
#[cfg(test)]
mod observer;
#[cfg(test)]
mod picture;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod text;
