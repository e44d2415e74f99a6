"""The pages: NiceGUI over one Application."""
