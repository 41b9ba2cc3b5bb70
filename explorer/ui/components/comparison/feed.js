// What feeds one column: it draws nothing.

export default function ({ parentElement, data }) {
  if (!data) return undefined;
  const message = unpack(data);
  const name = `${message.number}-${message.kind === "colours" ? "colours" : "answer"}`;
  FEEDS.set(name, message);
  document.dispatchEvent(new CustomEvent(FED, { detail: message }));
  return () => FEEDS.get(name) === message && FEEDS.delete(name);
}
