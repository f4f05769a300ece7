:°—±ToqqLyaFÉ_¯2añÃÍ³	!BÂ`jur
YEµÝ²TŸëýÓt3C,’î2”az0ÏºMù