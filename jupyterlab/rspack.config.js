// What the builder of JupyterLab does by itself, and two things more.
const { CopyRspackPlugin } = require('@rspack/core');

module.exports = {
  output: {
    // The builder gives scripts a `?v=…`, which lets Jupyter Server have them cached for good. The .wasm gets one, too.
    assetModuleFilename: '[hash][ext]?v=[hash]'
  },
  plugins: [
    // The page that the provider sends people back to. Its address is compared letter by letter: no hash in its name.
    new CopyRspackPlugin({ patterns: [{ from: 'static/callback.*', to: '[name][ext]' }] })
  ]
};
