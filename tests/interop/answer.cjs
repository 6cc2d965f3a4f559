// Answers questions on standard input: a line of JSON with `op` and its inputs, a line of JSON back.
'use strict';
const readline = require('node:readline');

module.exports = (operations) => {
  readline.createInterface({ input: process.stdin }).on('line', (line) => {
    const { op, ...input } = JSON.parse(line);
    let answer;
    try {
      answer = operations[op](input);
    } catch (error) {
      answer = { error: String(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  });
};
