// WeCom's own npm package @wecom/crypto, asked by peer_wecom_crypto.py: see answer.cjs.
'use strict';
const { createRequire } = require('node:module');

const answer = require('./answer.cjs');

const { decrypt, encrypt, getSignature } = createRequire(`${process.cwd()}/`)('@wecom/crypto');

const operations = {
  seal({ token, aes_key: key, receive_id: id, text, timestamp, nonce }) {
    const encrypted = encrypt(key, text, id);
    return { encrypted, signature: getSignature(token, timestamp, nonce, encrypted) };
  },
  open({ token, aes_key: key, encrypted, timestamp, nonce }) {
    return { signature: getSignature(token, timestamp, nonce, encrypted), ...decrypt(key, encrypted) };
  },
};

answer(operations);
