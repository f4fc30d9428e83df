// Checks SARIF logs against a JSON schema with npm's `jsonschema`, as GitHub's upload action does.
// usage: node validate.js FOLDER_OF_NODE_MODULES SCHEMA LOG...
const fs = require("fs");
const { createRequire } = require("module");

const [folder, schemaFile, ...logs] = process.argv.slice(2);
const { Validator } = createRequire(folder + "/")("jsonschema");
const read = (file) => JSON.parse(fs.readFileSync(file, "utf8"));
const schema = read(schemaFile);
let failed = false;
for (const log of logs) {
  for (const error of new Validator().validate(read(log), schema).errors) {
    console.log(`${log}: ${error}`);
    failed = true;
  }
}
process.exitCode = failed ? 1 : 0;
