ÜB·²qM9¢
x6ƒÍfYë¦ZrÞSwšUöŠtRtÊê×oª /Q«èÝÑŠÎ˜i$wü“B‹(†4
