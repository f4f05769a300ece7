YXA˜B#f¯ícÇ«ƒø'÷TÓˆ¦r$[RDYÕ_ÖÇš÷Íþ9.±eb7FýTÃu„ù(Eð¦µxdð
