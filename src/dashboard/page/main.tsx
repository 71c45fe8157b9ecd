import { render } from 'preact';
import { App } from './app.tsx';
import { readMe } from './me.ts';

const place = document.getElementById('app');
if (place !== null) {
  place.replaceChildren();
  render(<App />, place);
}
void readMe();
