// Loaded before the command line when its Node is the one of PATH, so that an old one is told and not met as a riddle.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 7)) {
  process.stderr.write(
    `holdfast: Node 24.7 or newer is needed, and "${process.execPath}" is ${process.versions.node}\n` +
      'hint: Install Node 24 from https://nodejs.org, or put it first in PATH.\n',
  );
  process.exit(2);
}
