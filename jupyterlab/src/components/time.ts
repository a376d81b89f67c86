/**
 * Times, for people.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

/** How long something lasts: whole minutes, and seconds in the last one. */
export function timeLeft(milliseconds: number | undefined, trans: TranslationBundle): string {
  if (milliseconds === undefined) {
    return trans.__('without end');
  }
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) {
    return trans._n('%1 second', '%1 seconds', seconds);
  }
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) {
    return trans._n('%1 minute', '%1 minutes', minutes);
  }
  const hours = Math.floor(minutes / 60);
  return hours < 72
    ? trans._n('%1 hour', '%1 hours', hours)
    : trans._n('%1 day', '%1 days', Math.floor(hours / 24));
}

/** A time of the server as the language of the page writes it; in English, as the person's browser does. */
export function dateTime(text: string | undefined, language: string): string {
  const time = text ? new Date(text) : undefined;
  const locale = /^(default|en)?$/.test(language) ? undefined : language.replace('_', '-');
  return time && !Number.isNaN(time.getTime()) ? time.toLocaleString(locale) : '';
}
