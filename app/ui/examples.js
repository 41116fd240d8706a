// Lists to start with. The first is ranked when the page opens.

const CHAPTER = [
  "The reading room was built in 1911 and has seats for two hundred visitors. Its windows face the river, and in winter the lamps are lit at three. Visitors leave their coats at the entrance and receive a numbered token, which they return when they go.",
  "The catalogue lists each work by author, title and shelf. Works that were bought before 1950 are listed on cards, in the cabinet beside the stairs. A librarian helps with the cards at all hours of opening.",
  "Maps and prints are kept in flat drawers in the basement. They are brought to the reading room on request, one sheet at a time, and are looked at under glass. Photographs without flash are allowed for private study.",
  "The café in the courtyard sells coffee, soup and bread. It closes an hour before the library does. Food and drink may not be taken into the reading room, but water in a closed bottle may.",
  "Children are welcome in the east wing, where a reader tells stories on Saturday mornings. The puppet theatre is repaired by volunteers every spring, and its curtain is older than the house.",
];

export const EXAMPLES = [
  {
    name: "Library desk",
    query: "how long may I keep the book",
    text: [
      "The library opens at nine and closes at seven, and on Saturdays at two.",
      "A library card is free for residents of the town; bring proof of your address.",
      "The book club meets every second Thursday in the small hall.",
      "Newspapers and magazines cannot be taken home.",
      "If a book is damaged, please tell us, so that we can repair it.",
      "The library was founded in 1887 by the printers of the town.",
      "The fine for a late return is ten cents a day for each book.",
      "You may keep a film for one week, and a book for four weeks.",
      "Would you like to read at home? A loan can be extended twice, unless somebody else waits.",
      "The bookshop in the hall sells postcards and second-hand novels.",
    ].join("\n"),
  },
  {
    name: "Support tickets",
    query: "the app logs me out every time I switch networks",
    text: [
      "Dark mode does not follow the system setting on Android 14.",
      "Exported invoices show the wrong currency symbol.",
      "Session expires when the client's IP address changes, for example from Wi-Fi to mobile data.",
      "Push notifications arrive twice after the last update.",
      "Users report that they must sign in again after the phone leaves the office Wi-Fi.",
      "Password reset mails land in spam at some providers.",
      "The network graph in the admin console does not load in Safari.",
      "Add a setting for how long a login stays valid.",
    ].join("\n"),
  },
  {
    name: "A curl of Cohere",
    text: `curl https://api.cohere.com/v2/rerank \\
  -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\
  -d '{
    "model": "rerank-v3.5",
    "query": "Which animal sleeps standing up?",
    "top_n": 3,
    "documents": [
      "Cats sleep for up to sixteen hours a day, mostly curled up.",
      "A horse can doze on its feet: its legs lock so that it doesn'\\''t fall.",
      "Standing desks are said to be healthier than chairs.",
      "Bats hang upside down in their roosts by day.",
      "Swifts sleep in the air, gliding in wide circles."
    ]
  }'`,
  },
  {
    name: "Long documents",
    query: "what do I pay if I lose the key of my locker",
    settings: { long_documents: "windows" },
    text: JSON.stringify([
      "Lockers are in the basement, beside the maps.",
      `${CHAPTER.slice(2).join(" ")} ${CHAPTER.join(" ")} ${CHAPTER.slice(1).join(" ")}`,
      "The fee for interlibrary loan is three euros for each item.",
      `${CHAPTER.join(" ")} ${[...CHAPTER].reverse().join(" ")} ${CHAPTER.join(" ")} If you lose the key of your locker, you pay twenty euros. ${CHAPTER.slice(0, 2).join(" ")}`,
      "Keys to the piano room are handed out at the desk.",
    ], null, 1),
  },
  {
    name: "Odd documents",
    query: "safe handling of user input",
    text: JSON.stringify([
      "<script>alert('a document is a text')</script>",
      "Escape user input before it becomes part of a page, or better: never build pages from strings.",
      "",
      "Escape user input before it becomes part of a page, or better: never build pages from strings.",
      "A zero\u200b-width sp\u200bace hides in th\u2060is line, and \u202ethis part is turned around\u202c.",
      "يجب التحقق من مدخلات المستخدم قبل استخدامها.",
      "<img src=x onerror=alert(1)> <b>bold?</b>",
    ], null, 1),
  },
];
