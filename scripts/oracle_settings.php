<?php
// Settings that `scripts/oracle setup` appends to LocalSettings.php. ORACLE_FACTS names a JSON file with the language and
// the namespaces of the dump's siteinfo, the prefixes of other wikis, and the extension tags that show nothing here.
wfLoadExtensions( [ 'ParserFunctions', 'Cite', 'Poem' ] );
$wgPFEnableStringFunctions = true;
$wgEnableMagicLinks = [ 'ISBN' => true, 'PMID' => true, 'RFC' => true ];
$wgRestrictDisplayTitle = false;

if ( getenv( 'ORACLE_FACTS' ) ) {
	$oracleFacts = json_decode( file_get_contents( getenv( 'ORACLE_FACTS' ) ), true );
	$wgLanguageCode = $oracleFacts['language'];
	foreach ( $oracleFacts['namespaces'] as $number => $name ) {
		if ( $number >= 100 ) {
			$wgExtraNamespaces[$number] = $name;
		} elseif ( $number != 0 ) {
			$wgNamespaceAliases[$name] = (int)$number;
		}
	}
	foreach ( $oracleFacts['aliases'] as $name => $number ) {
		$wgNamespaceAliases[$name] = $number;
	}
	$wgHooks['InterwikiLoadPrefix'][] = static function ( $prefix, &$data ) use ( $oracleFacts ) {
		if ( !in_array( $prefix, $oracleFacts['interwiki'] ) ) {
			return true;
		}
		$data = [ 'iw_prefix' => $prefix, 'iw_url' => "https://$prefix.example.org/\$1", 'iw_api' => '', 'iw_wikiid' => '',
			'iw_local' => 1, 'iw_trans' => 0 ];
		return false;
	};
	$wgExtraInterlanguageLinkPrefixes = $oracleFacts['interlanguage'];
	$wgHooks['ParserFirstCallInit'][] = static function ( $parser ) use ( $oracleFacts ) {
		$oracleGap = '<span class="oracle-gap"></span>';
		foreach ( $oracleFacts['hidden_tags'] as $tag ) {
			$parser->setHook( $tag, static fn () => $oracleGap );
		}
		foreach ( $oracleFacts['literal_tags'] as $tag ) {
			$parser->setHook( $tag, static function ( $content, $attributes ) {
				$name = isset( $attributes['inline'] ) ? 'code' : 'pre';
				return "<$name>" . htmlspecialchars( trim( $content ?? '', "\n" ) ) . "</$name>";
			} );
		}
	};
	// Files show nothing in a corpus, and no file is here.
	$wgHooks['ImageBeforeProduceHTML'][] = static function ( $linker, $title, $file, $frame, $handler, $time, &$result ) {
		$result = '<span class="oracle-gap"></span>';
		return false;
	};
}
