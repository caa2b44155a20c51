import js from "@eslint/js";

export default [
  { ignores: ["tally/api/dashboard/vendor/**"] },
  { files: ["tally/api/dashboard/*.js"], ...js.configs.recommended },
  {
    files: ["tally/api/dashboard/*.js"],
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      // Names that do not exist are found by tsc, which knows the browser's.
      "no-undef": "off",
      "no-unused-vars": "error",
      "no-console": "error",
      "prefer-const": "error",
      "eqeqeq": "error",
      "curly": ["error", "multi-line"],
      "no-var": "error",
      "max-lines": ["error", 400],
      "max-params": ["error", 5],
      "max-lines-per-function": ["error", { "max": 40, "skipComments": true }],
    },
  },
];
