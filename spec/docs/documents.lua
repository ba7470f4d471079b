-- The documents whose blocks are run.

return {"README.md", "docs/guide.md", "docs/simulator.md"}
