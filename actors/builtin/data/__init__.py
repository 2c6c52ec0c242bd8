"""Tables of data: reading CSV of any dialect, profiling columns, trends by date."""
