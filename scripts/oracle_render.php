<?php
// JSON lines {"title", "text"} on standard input -> JSON lines of HTML on standard output, by MediaWiki's own parser;
// {"namespaces": LANGUAGE} -> the names of the namespaces on a wiki of that language, by their numbers.
// MW_INSTALL_PATH and MW_CONFIG_FILE name the installation and its settings, which `scripts/oracle setup` writes.
require_once getenv( 'MW_INSTALL_PATH' ) . '/maintenance/Maintenance.php';

class RenderLines extends Maintenance {
	public function execute() {
		$services = MediaWiki\MediaWikiServices::getInstance();
		$parser = $services->getParserFactory()->create();
		$options = ParserOptions::newFromAnon();
		$options->setMaxIncludeSize( 1 << 22 );
		$templates = json_decode( file_get_contents( getenv( 'ORACLE_FACTS' ) ), true )['templates'];
		$options->setTemplateCallback( static function ( $title ) use ( $templates ) {
			$text = $templates[$title->getText()] ?? false;
			return [ 'text' => $text, 'finalTitle' => $title, 'deps' => [] ];
		} );
		while ( ( $line = fgets( STDIN ) ) !== false ) {
			$page = json_decode( $line );
			if ( isset( $page->namespaces ) ) {
				$names = $services->getLanguageFactory()->getLanguage( $page->namespaces )->getNamespaces();
				fwrite( STDOUT, json_encode( (object)$names ) . "\n" );
				continue;
			}
			$title = Title::newFromText( $page->title ) ?? Title::newFromText( 'Page' );
			$output = $parser->parse( $page->text, $title, $options );
			$html = $output->getText( [ 'enableSectionEditLinks' => false, 'allowTOC' => false, 'unwrap' => true ] );
			fwrite( STDOUT, json_encode( $html, JSON_INVALID_UTF8_SUBSTITUTE ) . "\n" );
			fflush( STDOUT );
		}
	}
}

$maintClass = RenderLines::class;
require_once RUN_MAINTENANCE_IF_MAIN;
