"""The MCP server: tools and resources for models, over stdio and HTTP.

Nothing here imports the SDK at the top of what a web process imports: `http` does so with the first request to /mcp,
because most processes never get one and it costs a second and 30 MB.
"""
