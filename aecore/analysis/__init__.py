"""What can be measured of a trained model beyond its error: numbers out, no pictures."""
