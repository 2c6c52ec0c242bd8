"""The MCP server: tools and resources for models, over stdio and HTTP."""
