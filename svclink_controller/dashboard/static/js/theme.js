// Light or dark: what the system says, until the reader chooses. The choice is remembered.

const KEY = "svclink-theme";
const DARK = matchMedia("(prefers-color-scheme: dark)");

export function isDark() {
  const chosen = stored();
  return chosen === null ? DARK.matches : chosen === "dark";
}

export function applyTheme() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
}

export function toggleTheme() {
  const chosen = isDark() ? "light" : "dark";
  try {
    localStorage.setItem(KEY, chosen === (DARK.matches ? "dark" : "light") ? "" : chosen);
  } catch {
    // Without storage the choice cannot be kept, and the system decides.
  }
  applyTheme();
}

function stored() {
  try {
    return localStorage.getItem(KEY) || null;
  } catch {
    return null;
  }
}

DARK.addEventListener("change", applyTheme);
applyTheme();
