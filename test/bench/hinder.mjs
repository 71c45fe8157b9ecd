const periodMs = 10;

/** The process `pid` runs for its share (0..1) of each period, until the function that is answered is called. */
export function hinder(pid, share) {
  let timer;
  const send = (signal) => {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error; // It has ended.
    }
  };
  const go = () => {
    send('SIGCONT');
    timer = setTimeout(halt, periodMs * share);
  };
  const halt = () => {
    send('SIGSTOP');
    timer = setTimeout(go, periodMs * (1 - share));
  };
  go();
  return () => {
    clearTimeout(timer);
    send('SIGCONT');
  };
}
