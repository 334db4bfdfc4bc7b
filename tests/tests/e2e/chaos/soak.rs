//! A long run with a random fault each minute.
