// The dossier's end of it.

export default function ({ parentElement, data, setTriggerValue }) {
  const host = parentElement.host ?? parentElement;
  host.dataset.openCode = data.code;
  document.dispatchEvent(new CustomEvent(OPENED, { detail: data.code }));
  const hear = (event) => setTriggerValue("picked", event.detail);
  document.addEventListener(PICKED, hear);
  return () => document.removeEventListener(PICKED, hear);
}
