-- The search on PostgreSQL finds what the one on SQLite finds: words are runs of letters and digits (rules/text.rs), whatever stands between them.
-- PostgreSQL's parser by itself keeps `3.5`, `ana@example.com`, `docs.rs` and paths whole and reads `COVID-19` as `covid` and `-19`. So everything
-- that could make it do so becomes a blank before.
--
-- A text of words only, for `to_tsvector` and `phraseto_tsquery` alike: both must be given it.
--   Kept are Unicode's letters and digits (L, N), and the accents that SQLite's tokenizer (unicode61) takes for a part of their letter. They are
--   written out, because `[:alnum:]` depends on the database's locale: in `C` it has no letter beyond ASCII, and elsewhere it changes with the system's
--   library, under an index that was built with another.
--   Kept are also the marks at which the parser ends a word wherever they stand: each replacement costs time, and posts wait for it.
--   Two letters are made what SQLite makes of them: the sigma at the end of words, and the sign for micro.
create or replace function searched_words(said text) returns text language sql immutable parallel safe as $$
    select regexp_replace(replace(replace(said, 'ς', 'σ'), 'µ', 'μ'), '[^ \n\t,;!?()"''0-9A-Za-z'
        '\u00aa\u00b2-\u00b3\u00b5\u00b9-\u00ba\u00bc-\u00be\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02c1\u02c6-\u02d1\u02e0-\u02e4\u02ec\u02ee'
        '\u0300-\u0304\u0306-\u030c\u030f\u0311\u031b\u0323-\u0328\u032d-\u032e\u0330-\u0331\u0370-\u0374\u0376-\u037d\u037f\u0386\u0388-\u03f5'
        '\u03f7-\u0481\u048a-\u0559\u0560-\u0588\u05d0-\u05f2\u0620-\u064a\u0660-\u0669\u066e-\u066f\u0671-\u06d3\u06d5\u06e5-\u06e6\u06ee-\u06fc'
        '\u06ff\u0710\u0712-\u072f\u074d-\u07a5\u07b1-\u07ea\u07f4-\u07f5\u07fa\u0800-\u0815\u081a\u0824\u0828\u0840-\u0858\u0860-\u0887\u0889-\u088e'
        '\u08a0-\u08c9\u0904-\u0939\u093d\u0950\u0958-\u0961\u0966-\u096f\u0971-\u0980\u0985-\u09b9\u09bd\u09ce\u09dc-\u09e1\u09e6-\u09f1'
        '\u09f4-\u09f9\u09fc\u0a05-\u0a39\u0a59-\u0a6f\u0a72-\u0a74\u0a85-\u0ab9\u0abd\u0ad0-\u0ae1\u0ae6-\u0aef\u0af9\u0b05-\u0b39\u0b3d'
        '\u0b5c-\u0b61\u0b66-\u0b6f\u0b71-\u0b77\u0b83-\u0bb9\u0bd0\u0be6-\u0bf2\u0c05-\u0c39\u0c3d\u0c58-\u0c61\u0c66-\u0c6f\u0c78-\u0c7e\u0c80'
        '\u0c85-\u0cb9\u0cbd\u0cdd-\u0ce1\u0ce6-\u0cf2\u0d04-\u0d3a\u0d3d\u0d4e\u0d54-\u0d56\u0d58-\u0d61\u0d66-\u0d78\u0d7a-\u0d7f\u0d85-\u0dc6'
        '\u0de6-\u0def\u0e01-\u0e30\u0e32-\u0e33\u0e40-\u0e46\u0e50-\u0e59\u0e81-\u0eb0\u0eb2-\u0eb3\u0ebd-\u0ec6\u0ed0-\u0f00\u0f20-\u0f33'
        '\u0f40-\u0f6c\u0f88-\u0f8c\u1000-\u102a\u103f-\u1049\u1050-\u1055\u105a-\u105d\u1061\u1065-\u1066\u106e-\u1070\u1075-\u1081\u108e'
        '\u1090-\u1099\u10a0-\u10fa\u10fc-\u135a\u1369-\u138f\u13a0-\u13fd\u1401-\u166c\u166f-\u167f\u1681-\u169a\u16a0-\u16ea\u16ee-\u1711'
        '\u171f-\u1731\u1740-\u1751\u1760-\u1770\u1780-\u17b3\u17d7\u17dc\u17e0-\u17f9\u1810-\u1884\u1887-\u18a8\u18aa-\u191e\u1946-\u19da'
        '\u1a00-\u1a16\u1a20-\u1a54\u1a80-\u1a99\u1aa7\u1b05-\u1b33\u1b45-\u1b59\u1b83-\u1ba0\u1bae-\u1be5\u1c00-\u1c23\u1c40-\u1c7d\u1c80-\u1cbf'
        '\u1ce9-\u1cec\u1cee-\u1cf3\u1cf5-\u1cf6\u1cfa-\u1dbf\u1e00-\u1fbc\u1fbe\u1fc2-\u1fcc\u1fd0-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ffc\u2070-\u2079'
        '\u207f-\u2089\u2090-\u209c\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2139\u213c-\u213f\u2145-\u2149'
        '\u214e\u2150-\u2189\u2460-\u249b\u24ea-\u24ff\u2776-\u2793\u2c00-\u2ce4\u2ceb-\u2cee\u2cf2-\u2cf3\u2cfd\u2d00-\u2d6f\u2d80-\u2dde\u2e2f'
        '\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u318e\u3192-\u3195\u31a0-\u31bf'
        '\u31f0-\u31ff\u3220-\u3229\u3248-\u324f\u3251-\u325f\u3280-\u3289\u32b1-\u32bf\u3400-\u4dbf\u4e00-\ua48c\ua4d0-\ua4fd\ua500-\ua60c'
        '\ua610-\ua66e\ua67f-\ua69d\ua6a0-\ua6ef\ua717-\ua71f\ua722-\ua788\ua78b-\ua801\ua803-\ua805\ua807-\ua80a\ua80c-\ua822\ua830-\ua835'
        '\ua840-\ua873\ua882-\ua8b3\ua8d0-\ua8d9\ua8f2-\ua8f7\ua8fb\ua8fd-\ua8fe\ua900-\ua925\ua930-\ua946\ua960-\ua97c\ua984-\ua9b2\ua9cf-\ua9d9'
        '\ua9e0-\ua9e4\ua9e6-\uaa28\uaa40-\uaa42\uaa44-\uaa4b\uaa50-\uaa59\uaa60-\uaa76\uaa7a\uaa7e-\uaaaf\uaab1\uaab5-\uaab6\uaab9-\uaabd\uaac0'
        '\uaac2-\uaadd\uaae0-\uaaea\uaaf2-\uaaf4\uab01-\uab5a\uab5c-\uab69\uab70-\uabe2\uabf0-\ud7fb\uf900-\ufb1d\ufb1f-\ufb28\ufb2a-\ufbb1'
        '\ufbd3-\ufd3d\ufd50-\ufdc7\ufdf0-\ufdfb\ufe70-\ufefc\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc\U00010000-\U000100fa'
        '\U00010107-\U00010133\U00010140-\U00010178\U0001018a-\U0001018b\U00010280-\U000102d0\U000102e1-\U00010375\U00010380-\U0001039d'
        '\U000103a0-\U000103cf\U000103d1-\U00010563\U00010570-\U00010855\U00010858-\U00010876\U00010879-\U0001091b\U00010920-\U00010939'
        '\U00010980-\U00010a00\U00010a10-\U00010a35\U00010a40-\U00010a48\U00010a60-\U00010a7e\U00010a80-\U00010ac7\U00010ac9-\U00010ae4'
        '\U00010aeb-\U00010aef\U00010b00-\U00010b35\U00010b40-\U00010b91\U00010ba9-\U00010d23\U00010d30-\U00010ea9\U00010eb0-\U00010f45'
        '\U00010f51-\U00010f54\U00010f70-\U00010f81\U00010fb0-\U00010ff6\U00011003-\U00011037\U00011052-\U0001106f\U00011071-\U00011072\U00011075'
        '\U00011083-\U000110af\U000110d0-\U000110f9\U00011103-\U00011126\U00011136-\U0001113f\U00011144\U00011147-\U00011172\U00011176'
        '\U00011183-\U000111b2\U000111c1-\U000111c4\U000111d0-\U000111da\U000111dc\U000111e1-\U0001122b\U00011280-\U000112a8\U000112b0-\U000112de'
        '\U000112f0-\U000112f9\U00011305-\U00011339\U0001133d\U00011350\U0001135d-\U00011361\U00011400-\U00011434\U00011447-\U0001144a'
        '\U00011450-\U00011459\U0001145f-\U000114af\U000114c4-\U000114c5\U000114c7-\U000115ae\U000115d8-\U000115db\U00011600-\U0001162f'
        '\U00011644-\U00011659\U00011680-\U000116aa\U000116b8\U000116c0-\U0001171a\U00011730-\U0001173b\U00011740-\U0001182b\U000118a0-\U0001192f'
        '\U0001193f\U00011941\U00011950-\U000119d0\U000119e1\U000119e3\U00011a00\U00011a0b-\U00011a32\U00011a3a\U00011a50\U00011a5c-\U00011a89'
        '\U00011a9d\U00011ab0-\U00011c2e\U00011c40\U00011c50-\U00011c6c\U00011c72-\U00011c8f\U00011d00-\U00011d30\U00011d46\U00011d50-\U00011d89'
        '\U00011d98-\U00011ef2\U00011fb0-\U00011fd4\U00012000-\U0001246e\U00012480-\U00012ff0\U00013000-\U0001342e\U00014400-\U00016a69'
        '\U00016a70-\U00016aed\U00016b00-\U00016b2f\U00016b40-\U00016b43\U00016b50-\U00016e96\U00016f00-\U00016f4a\U00016f50\U00016f93-\U00016fe1'
        '\U00016fe3\U00017000-\U0001bc99\U0001d2e0-\U0001d2f3\U0001d360-\U0001d6c0\U0001d6c2-\U0001d6da\U0001d6dc-\U0001d6fa\U0001d6fc-\U0001d714'
        '\U0001d716-\U0001d734\U0001d736-\U0001d74e\U0001d750-\U0001d76e\U0001d770-\U0001d788\U0001d78a-\U0001d7a8\U0001d7aa-\U0001d7c2'
        '\U0001d7c4-\U0001d7ff\U0001df00-\U0001df1e\U0001e100-\U0001e12c\U0001e137-\U0001e14e\U0001e290-\U0001e2ad\U0001e2c0-\U0001e2eb'
        '\U0001e2f0-\U0001e2f9\U0001e7e0-\U0001e8cf\U0001e900-\U0001e943\U0001e94b-\U0001e959\U0001ec71-\U0001ecab\U0001ecad-\U0001ecaf'
        '\U0001ecb1-\U0001ed2d\U0001ed2f-\U0001eebb\U0001f100-\U0001f10c\U0001fbf0-\U0003134a'
        ']+', ' ', 'g')
$$;

-- The search must use this very expression.
-- Beside the one before, which the next step removes: while this one is built, posts wait and reads do not. It may be built beforehand, concurrently.
create index if not exists messages_by_words on messages
    using gin (to_tsvector('simple', searched_words(coalesce(title, '') || ' ' || coalesce(body, '')))) where action = 'posted';
