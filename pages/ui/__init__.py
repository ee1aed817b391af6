"""What the pages share: frame and navigation, colours, and the components that run in the browser."""
