/**
 * The script of a character, for tokenizers that cut where the script changes. Names are Unicode's; the host is asked about single code
 * points, and what it answered is kept.
 */
import { property } from "../regex/classes.ts";
import type { Test } from "../regex/syntax.ts";

const names = (
  "Latin Han Hangul Cyrillic Greek Arabic Hebrew Devanagari Thai Bengali Tamil Telugu Kannada Malayalam Gujarati Gurmukhi Oriya Sinhala " +
  "Lao Khmer Myanmar Tibetan Georgian Armenian Ethiopic Mongolian Cherokee Canadian_Aboriginal Bopomofo Yi Syriac Thaana Ogham Runic " +
  "Tagalog Hanunoo Buhid Tagbanwa Limbu Tai_Le Linear_B Ugaritic Shavian Osmanya Cypriot Braille Buginese Coptic New_Tai_Lue Glagolitic " +
  "Tifinagh Syloti_Nagri Old_Persian Kharoshthi Balinese Cuneiform Phoenician Phags_Pa Nko Sundanese Lepcha Ol_Chiki Vai Saurashtra " +
  "Kayah_Li Rejang Lycian Carian Lydian Cham Tai_Tham Tai_Viet Avestan Egyptian_Hieroglyphs Samaritan Lisu Bamum Javanese Meetei_Mayek " +
  "Imperial_Aramaic Old_South_Arabian Inscriptional_Parthian Inscriptional_Pahlavi Old_Turkic Kaithi Batak Brahmi Mandaic Chakma " +
  "Meroitic_Cursive Meroitic_Hieroglyphs Miao Sharada Sora_Sompeng Takri Caucasian_Albanian Bassa_Vah Duployan Elbasan Grantha Khojki " +
  "Khudawadi Linear_A Mahajani Manichaean Mende_Kikakui Modi Mro Nabataean Old_North_Arabian Old_Permic Pahawh_Hmong Palmyrene " +
  "Pau_Cin_Hau Psalter_Pahlavi Siddham Tirhuta Warang_Citi Ahom Anatolian_Hieroglyphs Hatran Multani Old_Hungarian SignWriting Adlam " +
  "Bhaiksuki Marchen Newa Osage Tangut Gothic Old_Italic Deseret Katakana Hiragana"
).split(" ");

let tests: readonly (readonly [string, Test])[] | undefined;
const known = new Map<number, string>();
/** Most answers that are kept. */
const MOST = 65_536;

/** The name of the script, with Hiragana and Katakana under Han; empty for spaces and marks of no script; Common for the rest. */
export function scriptOf(codePoint: number): string {
  const found = known.get(codePoint);
  if (found !== undefined) return found;
  if (known.size >= MOST) known.clear();
  const script = lookUp(codePoint);
  known.set(codePoint, script);
  return script;
}

function lookUp(codePoint: number): string {
  tests ??= [...names, "Inherited"].flatMap(name => {
    const test = property(`Script=${name}`);
    return test ? [[name, test] as const] : [];
  });
  // A space joins either side, and so does the mark for a long vowel join its neighbours, which are counted as Han.
  if (codePoint === 0x20) return "";
  if (codePoint === 0x30fc) return "Han";
  const name = tests.find(([, test]) => test(codePoint))?.[0] ?? "Common";
  if (name === "Inherited") return "";
  return name === "Hiragana" || name === "Katakana" ? "Han" : name;
}
