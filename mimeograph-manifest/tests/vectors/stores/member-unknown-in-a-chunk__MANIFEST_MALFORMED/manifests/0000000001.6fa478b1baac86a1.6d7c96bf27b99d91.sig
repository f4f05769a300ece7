‡9Åë}›Gæ8³D91Ì®IUUèfÅ6ƒSR+Årÿ÷ZüÁ=+Ó±dpxg­'bX9‹IYm'Z5B
