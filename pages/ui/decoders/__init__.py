"""The parts of the Decoders page: what to compare, the stage, the meters, the verdict, and decoders not trained yet."""
